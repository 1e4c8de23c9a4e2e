use wasm_encoder::{GlobalSection, GlobalType, MemorySection, TableType, ValType};
use wasmparser::Payload;

use super::*;

/// What the functions of a module do one after the other, and which are exported and which stand in the table.
struct Sketch<'a> {
    bodies: &'a [&'a [Instruction<'a>]],
    exported: &'a [(&'a str, u32)],
    in_table: &'a [u32],
}

impl Sketch<'_> {
    /// Functions that take a number and give one, with a memory, a table of functions and two globals.
    fn module(&self) -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([ValType::I32], [ValType::I32]);
        let (mut section, mut code, mut exports) = (FunctionSection::new(), CodeSection::new(), ExportSection::new());
        for body in self.bodies {
            section.function(0);
            let mut function = Function::new([]);
            function.instruction(&Instruction::LocalGet(0));
            for instruction in *body {
                function.instruction(instruction);
            }
            code.function(function.instruction(&Instruction::End));
        }
        for (name, index) in self.exported {
            exports.export(name, ExportKind::Func, *index);
        }
        let mut tables = TableSection::new();
        let places = self.in_table.len() as u64;
        tables.table(TableType { maximum: Some(places), ..super::functions(places) });
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions(self.in_table.into()));
        let mut memories = MemorySection::new();
        let memory = wasm_encoder::MemoryType {
            minimum: 1,
            maximum: None,
            memory64: false,
            shared: false,
            page_size_log2: None,
        };
        memories.memory(memory);
        let mut globals = GlobalSection::new();
        for value in 0..2 {
            let of = GlobalType { val_type: ValType::I32, mutable: true, shared: false };
            globals.global(of, &ConstExpr::i32_const(value));
        }
        let mut module = Module::new();
        module.section(&types).section(&section).section(&tables).section(&memories).section(&globals);
        module.section(&exports).section(&elements).section(&code);
        module.finish()
    }
}

/// What a function of a part does, each call by what is called.
fn does(part: &Part<'_>, index: u32) -> Vec<String> {
    let at = index as usize - part.imports.len();
    let operators = part.functions.bodies[at].get_operators_reader().unwrap();
    let told = operators.into_iter().map(|operator| match operator.unwrap() {
        Operator::Call { function_index } => match part.imports.get(function_index as usize) {
            Some(name) => format!("call {name}"),
            None => format!("call {:?}", does(part, function_index)),
        },
        other => format!("{other:?}"),
    });
    told.collect()
}

/// A part, read again.
struct Part<'a> {
    functions: Functions<'a>,
    /// The names of the functions that it imports, in the order of their numbers.
    imports: Vec<String>,
    /// Everything else that it imports.
    others: Vec<String>,
    exports: BTreeMap<String, u32>,
    in_table: Vec<u32>,
    places: u64,
}

fn part(module: &[u8]) -> Part<'_> {
    let (mut imports, mut others, mut exports) = (Vec::new(), Vec::new(), BTreeMap::new());
    let (mut found, mut places) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(module) {
        match payload.unwrap() {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.unwrap();
                    assert_eq!(import.module, "first");
                    let to = if matches!(import.ty, TypeRef::Func(_)) { &mut imports } else { &mut others };
                    to.push(import.name.to_owned());
                }
            }
            Payload::ExportSection(section) => {
                exports.extend(section.into_iter().map(Result::unwrap).map(|each| (each.name.to_owned(), each.index)));
            }
            Payload::TableSection(section) => places = section.into_iter().next().unwrap().unwrap().ty.initial,
            Payload::ElementSection(section) => found.extend(in_tables(section).unwrap()),
            _ => {}
        }
    }
    Part { functions: Functions::of(module).unwrap(), imports, others, exports, in_table: found, places }
}

#[test]
fn what_only_the_later_call_reaches_is_in_the_second_part_and_works_on_the_first() {
    use Instruction::{Call, Drop, GlobalGet, GlobalSet, I32Const};
    let whole = Sketch {
        bodies: &[
            &[Drop, I32Const(1)],                                     // 0: both call it
            &[Drop, I32Const(2)],                                     // 1: only the later call does
            &[Drop, I32Const(3)], // 2: only the later call does, and the table has it
            &[Call(0), GlobalSet(0), I32Const(4)], // 3: the export of the first part
            &[Call(0), Call(1), Call(2), GlobalSet(1), GlobalGet(1)], // 4: the later call
        ],
        exported: &[("at-once", 3), ("later", 4)],
        in_table: &[2],
    };
    let module = whole.module();
    let parts = split(&module, &["later"]).unwrap();
    let (first, second) = (part(&parts.first), part(&parts.second));

    // The first keeps what anything else needs, and of the later call a jump to the place behind its table's.
    assert_eq!(first.functions.bodies.len(), 4);
    assert_eq!(first.places, 2);
    let jump = does(&first, first.exports["later"]);
    assert_eq!(jump[0..2], ["LocalGet { local_index: 0 }", "I32Const { value: 1 }"]);
    assert_eq!(jump[2], "CallIndirect { type_index: 0, table_index: 0 }");
    let before = part(&module);
    assert_eq!(does(&first, first.exports["at-once"]), does(&before, 3));
    assert_eq!(does(&first, first.in_table[0]), does(&before, 2));

    // The second has the rest, and everything that it imports is exported by the first as what it was.
    assert_eq!(second.functions.bodies.len(), 2);
    assert_eq!(second.others, ["g1", MEMORY, TABLE]);
    assert!(second.others.iter().all(|name| first.exports.contains_key(name)));
    assert_eq!(second.imports.len(), 2);
    let exported: Vec<_> = second.imports.iter().map(|name| does(&first, first.exports[name])).collect();
    assert_eq!(exported, [does(&before, 0), does(&before, 2)]);
    let own = format!("call {:?}", does(&before, 1));
    let call = does(&second, second.in_table[0]);
    let calls: Vec<&str> = call.iter().map(String::as_str).filter(|told| told.starts_with("call")).collect();
    assert_eq!(calls, ["call 0", own.as_str(), "call 1"]);
    assert!(call.contains(&"GlobalSet { global_index: 0 }".to_owned()), "{call:?}");
}

#[test]
fn a_module_that_cannot_be_split_is_refused() {
    use Instruction::{Call, Drop, I32Const};
    let whole = Sketch {
        bodies: &[&[Drop, I32Const(1)], &[Call(0)]],
        exported: &[("later", 0), ("at-once", 1)],
        in_table: &[],
    };
    let module = whole.module();
    let why = |later: &str| split(&module, &[later]).map(|_| ()).unwrap_err().to_string();
    assert!(why("later").contains("is called from the first"), "{}", why("later"));
    assert!(why("nothing").contains("does not export"), "{}", why("nothing"));
}
