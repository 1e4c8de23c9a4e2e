//! Takes out of a WebAssembly module what only says why it ends. A panic calls functions that put a message
//! together and then trap; in the browser nobody reads the message, and the trap is all that arrives.
//!
//! It is what the compiler's own `panic=immediate-abort` does, which no stable release has.

use std::collections::BTreeSet;
use std::convert::Infallible;

use anyhow::Context as _;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, ConstExpr, DataSection, Module};
use wasmparser::{CodeSectionReader, Data, DataKind, FunctionBody, Operator, Parser};

use super::pack::Functions;

/// The same module with a bare trap for each call that never returns, and without the names and lines of source
/// files.
pub(super) fn silenced(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let functions = Functions::of(module)?;
    let outside = reaching_outside(&functions)?;
    let bodies = functions.bodies.iter().map(|body| trapping(body, &outside)).collect::<anyhow::Result<_>>()?;
    let mut silenced = Module::new();
    Silence { bodies }
        .parse_core_module(&mut silenced, Parser::new(0), module)
        .context("the module cannot be silenced")?;
    Ok(silenced.finish())
}

/// The functions that are imported or call one that is, however far down: what they do, somebody may hear.
fn reaching_outside(functions: &Functions<'_>) -> anyhow::Result<BTreeSet<u32>> {
    let mut outside: BTreeSet<u32> = (0..u32::try_from(functions.imported)?).collect();
    let mut calls = Vec::new();
    for (index, body) in (u32::try_from(functions.imported)?..).zip(&functions.bodies) {
        for operator in body.get_operators_reader()? {
            if let Operator::Call { function_index } = operator? {
                calls.push((index, function_index));
            }
        }
    }
    loop {
        let before = outside.len();
        outside.extend(
            calls.iter().filter(|(_, called)| outside.contains(called)).map(|(caller, _)| *caller).collect::<Vec<_>>(),
        );
        if outside.len() == before {
            return Ok(outside);
        }
    }
}

/// A function's body with a bare trap for each call that never returns, which is one that the compiler put an
/// `unreachable` behind. What only prepares the trap goes, too: nothing that it computes is seen after it.
fn trapping(body: &FunctionBody<'_>, outside: &BTreeSet<u32>) -> anyhow::Result<Vec<u8>> {
    let octets = body.as_bytes();
    let start = body.range().start;
    let operators = body.get_operators_reader()?.into_iter_with_offsets().collect::<Result<Vec<_>, _>>()?;
    let begin = |at: usize| operators.get(at).map_or(octets.len(), |(_, offset)| offset - start);
    let mut kept = octets[..begin(0)].to_vec();
    // Where what was kept since the last branch or call begins.
    let mut straight = kept.len();
    for (at, (operator, _)) in operators.iter().enumerate() {
        let before_trap = matches!(operators.get(at + 1), Some((Operator::Unreachable, _)));
        match operator {
            Operator::Call { function_index } if before_trap && !outside.contains(function_index) => {
                kept.truncate(straight);
                continue;
            }
            Operator::Unreachable => kept.truncate(straight),
            _ => {}
        }
        kept.extend_from_slice(&octets[begin(at)..begin(at + 1)]);
        if goes_elsewhere(operator) {
            straight = kept.len();
        }
    }
    Ok(kept)
}

/// Whether an instruction may go on elsewhere than behind it, or something comes to it from elsewhere.
const fn goes_elsewhere(operator: &Operator<'_>) -> bool {
    matches!(
        operator,
        Operator::Block { .. }
            | Operator::Loop { .. }
            | Operator::If { .. }
            | Operator::Else
            | Operator::End
            | Operator::Br { .. }
            | Operator::BrIf { .. }
            | Operator::BrTable { .. }
            | Operator::Return
            | Operator::Call { .. }
            | Operator::CallIndirect { .. }
            | Operator::ReturnCall { .. }
            | Operator::ReturnCallIndirect { .. }
            | Operator::Unreachable
    )
}

/// The silent module in the making.
struct Silence {
    bodies: Vec<Vec<u8>>,
}

impl Reencode for Silence {
    type Error = Infallible;

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        _section: CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        for body in &self.bodies {
            code.raw(body);
        }
        Ok(())
    }

    fn parse_data(&mut self, section: &mut DataSection, data: Data<'_>) -> Result<(), reencode::Error> {
        let DataKind::Active { memory_index: 0, offset_expr } = &data.kind else {
            return reencode::utils::parse_data(self, section, data);
        };
        let Ok(Operator::I32Const { value }) = offset_expr.get_operators_reader().read() else {
            return reencode::utils::parse_data(self, section, data);
        };
        section.active(0, &ConstExpr::i32_const(value), nowhere(value.cast_unsigned(), data.data));
        Ok(())
    }
}

/// Data that lies at `base` with zeros for the places in source files. Such a place is the address and the length
/// of a file's name, a line and a column.
fn nowhere(base: u32, data: &[u8]) -> Vec<u8> {
    let mut blank = data.to_vec();
    let mut at = 0;
    while let Some(found) = data.get(at..at + PLACE) {
        let word = |number: usize| u32::from_le_bytes(found[4 * number..][..4].try_into().expect("four octets"));
        let [address, length, line, column] = [0, 1, 2, 3].map(word);
        let name = address.checked_sub(base).and_then(|from| data.get(from as usize..)?.get(..length as usize));
        let is_place = (1..MAX_LINE).contains(&line) && (1..MAX_COLUMN).contains(&column);
        match name.filter(|name| is_place && name.ends_with(b".rs") && name.is_ascii()) {
            Some(name) => {
                blank[at..at + PLACE].fill(0);
                blank[(address - base) as usize..][..name.len()].fill(0);
                at += PLACE;
            }
            None => at += 4,
        }
    }
    blank
}

/// The octets of a place in a source file.
const PLACE: usize = 16;
/// More lines than any file has, more columns than any line.
const MAX_LINE: u32 = 100_000;
const MAX_COLUMN: u32 = 1_000;

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        BlockType, EntityType, Function, FunctionSection, ImportSection, Instruction, MemorySection, MemoryType,
        TypeSection, ValType,
    };
    use wasmparser::{Payload, Validator};

    use super::*;

    /// Functions of one number, the first of which is imported.
    fn module(bodies: &[&[Instruction<'_>]]) -> Vec<u8> {
        let (mut types, mut imports) = (TypeSection::new(), ImportSection::new());
        let (mut functions, mut memories, mut code) =
            (FunctionSection::new(), MemorySection::new(), CodeSection::new());
        types.ty().function([ValType::I32], []);
        imports.import("page", "log", EntityType::Function(0));
        memories.memory(MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None });
        for instructions in bodies {
            functions.function(0);
            let mut body = Function::new([]);
            instructions.iter().for_each(|instruction| {
                body.instruction(instruction);
            });
            code.function(&body);
        }
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&memories).section(&code);
        module.finish()
    }

    /// How many instructions each function has, and how many of them are calls.
    fn counted(module: &[u8]) -> Vec<(usize, usize)> {
        Validator::new().validate_all(module).unwrap();
        let count = |body: &FunctionBody<'_>| {
            let all: Vec<_> = body.get_operators_reader().unwrap().into_iter().map(Result::unwrap).collect();
            (all.len(), all.iter().filter(|operator| matches!(operator, Operator::Call { .. })).count())
        };
        Functions::of(module).unwrap().bodies.iter().map(count).collect()
    }

    #[test]
    fn a_call_that_never_returns_is_a_trap_and_one_that_somebody_hears_stays() {
        let fail = [Instruction::Unreachable, Instruction::End];
        let says = [Instruction::LocalGet(0), Instruction::Call(0), Instruction::Unreachable, Instruction::End];
        let checks = |called| {
            [
                Instruction::Block(BlockType::Empty),
                Instruction::LocalGet(0),
                Instruction::BrIf(0),
                Instruction::I32Const(1),
                Instruction::I32Const(2),
                Instruction::I32Add,
                Instruction::Call(called),
                Instruction::Unreachable,
                Instruction::End,
                // One that returns.
                Instruction::I32Const(3),
                Instruction::Call(1),
                Instruction::End,
            ]
        };
        let before = module(&[&fail, &says, &checks(1), &checks(2)]);
        assert_eq!(counted(&before), [(2, 0), (4, 1), (12, 2), (12, 2)]);
        let after = silenced(&before).unwrap();
        assert_eq!(counted(&after), [(2, 0), (4, 1), (8, 1), (12, 2)]);
    }

    #[test]
    fn the_names_of_source_files_are_blank_and_nothing_else_is() {
        let mut data = b"src/main.rs; not a place".to_vec();
        let place = |address: u32, length: u32, line: u32, column: u32| {
            [address, length, line, column].map(u32::to_le_bytes).concat()
        };
        data.extend(place(BASE, 11, 70, 5));
        // Behind the data; no file; no line.
        let strange = [place(BASE + 4_000, 11, 70, 5), place(BASE + 13, 11, 70, 5), place(BASE, 11, 0, 5)].concat();
        data.extend(&strange);
        let mut wanted = vec![0; 11];
        wanted.extend(b"; not a place");
        wanted.extend([0; PLACE]);
        wanted.extend(strange);
        assert_eq!(nowhere(BASE, &data), wanted);
    }

    #[test]
    fn data_is_silenced_where_it_lies() {
        let mut data = DataSection::new();
        let name = b"lib.rs\0\0";
        let place = [BASE, 6, 1, 1].map(u32::to_le_bytes).concat();
        data.active(0, &ConstExpr::i32_const(BASE.cast_signed()), [&name[..], &place].concat());
        let mut module = Module::new();
        let memory = MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
        module.section(MemorySection::new().memory(memory)).section(&data);
        let silenced = silenced(&module.finish()).unwrap();
        let found = Parser::new(0).parse_all(&silenced).find_map(|payload| match payload.unwrap() {
            Payload::DataSection(section) => Some(section.into_iter().next().unwrap().unwrap().data.to_vec()),
            _ => None,
        });
        assert_eq!(found.unwrap(), [0; 24]);
    }

    const BASE: u32 = 1_024;
}
