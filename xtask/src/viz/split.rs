//! Splits a WebAssembly module in two: what every visitor of the page needs, and what only some of its calls do.
//!
//! The second module has the functions that nothing but those calls reaches. It works in the first one's memory and
//! calls its functions, which the first exports for it. What the first kept of such a call goes through a place in
//! its table that the second fills when it is instantiated; before, the call traps. What nothing reaches is left out.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context as _, bail};
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function, FunctionSection,
    ImportSection, Instruction, Module, RefType, TableSection, TypeSection,
};
use wasmparser::{
    CodeSectionReader, ElementItems, ElementSectionReader, ExportSectionReader, ExternalKind, FunctionSectionReader,
    MemoryType, Operator, Parser, Payload, Table, TypeRef, TypeSectionReader,
};

use super::pack::Functions;

/// A module in two.
pub(super) struct Parts {
    pub(super) first: Vec<u8>,
    pub(super) second: Vec<u8>,
}

/// Splits a module; the exports `later` trap until the second part is instantiated with the exports of the first as
/// the module `first`.
pub(super) fn split(module: &[u8], later: &[&str]) -> anyhow::Result<Parts> {
    let whole = Whole::of(module, later)?;
    let stays = whole.reached(&whole.roots)?;
    let moved = whole.only_later(&stays)?;
    let needs = whole.needs(&moved)?;
    let mut first = Module::new();
    First::of(&whole, &stays, &needs)
        .parse_core_module(&mut first, Parser::new(0), module)
        .context("the first part cannot be written")?;
    Ok(Parts { first: first.finish(), second: whole.second(&moved, &needs)? })
}

/// What is to be known of a module.
struct Whole<'a> {
    functions: Functions<'a>,
    types: TypeSectionReader<'a>,
    /// How many values each type's function takes.
    arity: Vec<u32>,
    globals: Vec<wasmparser::GlobalType>,
    memory: MemoryType,
    /// The number of the table of functions, and how many places it has.
    table: (u32, u64),
    /// What is called from outside, or by a place in a table.
    roots: Vec<u32>,
    /// The functions of the calls for the second part.
    later: Vec<u32>,
}

impl<'a> Whole<'a> {
    fn of(module: &'a [u8], later: &[&str]) -> anyhow::Result<Self> {
        let functions = Functions::of(module)?;
        let (mut types, mut memory, mut table) = (None, None, None);
        let (mut globals, mut roots, mut called) = (Vec::new(), Vec::new(), Vec::new());
        for payload in Parser::new(0).parse_all(module) {
            match payload.context("the module does not parse")? {
                Payload::TypeSection(section) => types = Some(section),
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        if !matches!(import?.ty, TypeRef::Func(_)) {
                            bail!("the module imports more than functions");
                        }
                    }
                }
                Payload::TableSection(section) => {
                    let tables = section.into_iter().collect::<Result<Vec<_>, _>>()?;
                    table = (0..).zip(tables).find(|(_, table)| table.ty.element_type.is_func_ref());
                }
                Payload::MemorySection(section) => memory = section.into_iter().next().transpose()?,
                Payload::GlobalSection(section) => {
                    for global in section {
                        globals.push(global?.ty);
                    }
                }
                Payload::ExportSection(section) => {
                    for export in section.into_iter().collect::<Result<Vec<_>, _>>()? {
                        match export.kind {
                            ExternalKind::Func if later.contains(&export.name) => called.push(export.index),
                            ExternalKind::Func => roots.push(export.index),
                            _ => {}
                        }
                    }
                }
                Payload::StartSection { func, .. } => roots.push(func),
                Payload::ElementSection(section) => roots.extend(in_tables(section)?),
                _ => {}
            }
        }
        if called.len() != later.len() {
            bail!("the module does not export all of {later:?}");
        }
        let types = types.context("the module has no types")?;
        let arity = types.clone().into_iter_err_on_gc_types().map(|of| Ok(u32::try_from(of?.params().len())?));
        let (number, Table { ty, .. }) = table.context("the module has no table of functions")?;
        Ok(Self {
            arity: arity.collect::<anyhow::Result<_>>()?,
            memory: memory.context("the module has no memory")?,
            table: (number, ty.initial),
            later: called,
            functions,
            types,
            globals,
            roots,
        })
    }

    /// The functions that only the calls for the second part reach.
    fn only_later(&self, stays: &BTreeSet<u32>) -> anyhow::Result<BTreeSet<u32>> {
        if self.later.iter().any(|call| stays.contains(call)) {
            bail!("a call for the second part is called from the first");
        }
        Ok(self.reached(&self.later)?.difference(stays).copied().collect())
    }

    fn reached(&self, roots: &[u32]) -> anyhow::Result<BTreeSet<u32>> {
        let mut reached = BTreeSet::new();
        let mut open = roots.to_vec();
        while let Some(index) = open.pop() {
            if reached.insert(index) {
                self.each(index, |operator| match operator {
                    Operator::Call { function_index }
                    | Operator::ReturnCall { function_index }
                    | Operator::RefFunc { function_index } => open.push(*function_index),
                    _ => {}
                })?;
            }
        }
        // What is imported stays where it is.
        Ok(reached.split_off(&u32::try_from(self.functions.imported)?))
    }

    fn each(&self, index: u32, mut visit: impl FnMut(&Operator<'a>)) -> anyhow::Result<()> {
        if let Some(at) = (index as usize).checked_sub(self.functions.imported) {
            let mut operators = self.functions.bodies[at].get_operators_reader()?;
            while !operators.eof() {
                visit(&operators.read()?);
            }
        }
        Ok(())
    }

    fn type_of(&self, index: u32) -> u32 {
        self.functions.types[index as usize - self.functions.imported]
    }

    /// What the second part needs of the first.
    fn needs(&self, moved: &BTreeSet<u32>) -> anyhow::Result<Needs> {
        let mut needs = Needs::default();
        let mut strange = None;
        for index in moved {
            self.each(*index, |operator| match operator {
                Operator::Call { function_index } if !moved.contains(function_index) => {
                    needs.functions.insert(*function_index);
                }
                Operator::GlobalGet { global_index } | Operator::GlobalSet { global_index } => {
                    needs.globals.insert(*global_index);
                }
                Operator::CallIndirect { table_index, .. } if *table_index == self.table.0 => {}
                Operator::CallIndirect { .. }
                | Operator::RefFunc { .. }
                | Operator::ReturnCall { .. }
                | Operator::ReturnCallIndirect { .. }
                | Operator::TableGet { .. }
                | Operator::TableSet { .. }
                | Operator::TableGrow { .. }
                | Operator::TableSize { .. }
                | Operator::TableFill { .. }
                | Operator::TableCopy { .. }
                | Operator::TableInit { .. }
                | Operator::MemoryInit { .. }
                | Operator::DataDrop { .. } => strange = Some(format!("{operator:?}")),
                _ => {}
            })?;
        }
        if let Some(index) = needs.functions.first().filter(|index| (**index as usize) < self.functions.imported) {
            bail!("the second part calls function {index}, which the first imports");
        }
        match strange {
            Some(operator) => bail!("the second part has an instruction that is not split: {operator}"),
            None => Ok(needs),
        }
    }

    fn second(&self, moved: &BTreeSet<u32>, needs: &Needs) -> anyhow::Result<Vec<u8>> {
        let indices = (0..).zip(needs.functions.iter().chain(moved)).map(|(new, old)| (*old, new)).collect();
        let globals = (0..).zip(&needs.globals).map(|(new, old)| (*old, new)).collect();
        let mut second = Second { indices, globals };
        let mut types = TypeSection::new();
        second.parse_type_section(&mut types, self.types.clone())?;
        let mut imports = ImportSection::new();
        for (name, index) in needs.names() {
            imports.import("first", &name, EntityType::Function(self.type_of(index)));
        }
        for index in &needs.globals {
            let of = second.global_type(self.globals[*index as usize])?;
            imports.import("first", &global_name(*index), EntityType::Global(of));
        }
        imports.import("first", MEMORY, EntityType::Memory(second.memory_type(self.memory)?));
        let places = self.table.1 + self.later.len() as u64;
        imports.import("first", TABLE, EntityType::Table(functions(places)));
        let (mut section, mut code) = (FunctionSection::new(), CodeSection::new());
        for index in moved {
            section.function(self.type_of(*index));
            let body = self.functions.bodies[*index as usize - self.functions.imported].clone();
            second.parse_function_body(&mut code, body)?;
        }
        let calls: Vec<u32> = self.later.iter().map(|index| second.indices[index]).collect();
        let mut elements = ElementSection::new();
        let place = ConstExpr::i32_const(i32::try_from(self.table.1)?);
        elements.active(None, &place, Elements::Functions(calls.into()));
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&section).section(&elements).section(&code);
        Ok(module.finish())
    }
}

/// The functions in the tables of a module.
fn in_tables(section: ElementSectionReader<'_>) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for element in section {
        match element?.items {
            ElementItems::Functions(items) => {
                for item in items {
                    found.push(item?);
                }
            }
            ElementItems::Expressions(_, items) => {
                for item in items {
                    for operator in item?.get_operators_reader() {
                        if let Operator::RefFunc { function_index } = operator? {
                            found.push(function_index);
                        }
                    }
                }
            }
        }
    }
    Ok(found)
}

fn functions(places: u64) -> wasm_encoder::TableType {
    wasm_encoder::TableType {
        element_type: RefType::FUNCREF,
        minimum: places,
        maximum: None,
        table64: false,
        shared: false,
    }
}

/// What the second part needs of the first, by the indices of the whole.
#[derive(Default)]
struct Needs {
    functions: BTreeSet<u32>,
    globals: BTreeSet<u32>,
}

impl Needs {
    /// The functions with the names that they are exported by.
    fn names(&self) -> impl Iterator<Item = (String, u32)> {
        self.functions.iter().enumerate().map(|(number, index)| (format!("{number:x}"), *index))
    }
}

fn global_name(index: u32) -> String {
    format!("g{index}")
}

/// The first part in the making.
struct First<'w> {
    whole: &'w Whole<'w>,
    needs: &'w Needs,
    /// The functions that it has, by the indices of the whole.
    kept: Vec<u32>,
    indices: BTreeMap<u32, u32>,
}

impl<'w> First<'w> {
    fn of(whole: &'w Whole<'w>, stays: &BTreeSet<u32>, needs: &'w Needs) -> Self {
        let imported = whole.functions.imported as u32;
        let defined = imported..imported + whole.functions.bodies.len() as u32;
        // What nothing reaches is in neither part.
        let kept: Vec<u32> = defined.filter(|index| stays.contains(index) || whole.later.contains(index)).collect();
        let all = (0..imported).chain(kept.iter().copied());
        let indices = all.zip(0..).collect();
        Self { whole, needs, kept, indices }
    }

    /// A call by the place in the table that the second part fills.
    fn call(&self, number: usize, index: u32) -> Function {
        let type_index = self.whole.type_of(index);
        let mut call = Function::new([]);
        for argument in 0..self.whole.arity[type_index as usize] {
            call.instruction(&Instruction::LocalGet(argument));
        }
        let place = i32::try_from(self.whole.table.1).expect("a table in 32 bits") + number as i32;
        call.instruction(&Instruction::I32Const(place));
        call.instruction(&Instruction::CallIndirect { type_index, table_index: self.whole.table.0 });
        call.instruction(&Instruction::End);
        call
    }
}

impl Reencode for First<'_> {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error> {
        Ok(*self.indices.get(&index).expect("what is kept reaches nothing that is moved"))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        _section: FunctionSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        for index in &self.kept {
            functions.function(self.whole.type_of(*index));
        }
        Ok(())
    }

    fn parse_table_section(
        &mut self,
        tables: &mut TableSection,
        section: wasmparser::TableSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        for (number, table) in (0..).zip(section) {
            let mut table = table?;
            if number == self.whole.table.0 {
                let more = self.whole.later.len() as u64;
                table.ty.initial += more;
                table.ty.maximum = table.ty.maximum.map(|most| most + more);
            }
            self.parse_table(tables, table)?;
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: ExportSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        reencode::utils::parse_export_section(self, exports, section)?;
        for (name, index) in self.needs.names() {
            exports.export(&name, ExportKind::Func, self.indices[&index]);
        }
        for index in &self.needs.globals {
            exports.export(&global_name(*index), ExportKind::Global, *index);
        }
        exports.export(MEMORY, ExportKind::Memory, 0);
        exports.export(TABLE, ExportKind::Table, self.whole.table.0);
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        let bodies = section.into_iter().collect::<Result<Vec<_>, _>>()?;
        for index in self.kept.clone() {
            match self.whole.later.iter().position(|call| *call == index) {
                Some(number) => {
                    code.function(&self.call(number, index));
                }
                None => {
                    self.parse_function_body(code, bodies[index as usize - self.whole.functions.imported].clone())?
                }
            }
        }
        Ok(())
    }
}

/// The second part in the making: the indices that functions and globals get in it.
struct Second {
    indices: BTreeMap<u32, u32>,
    globals: BTreeMap<u32, u32>,
}

impl Reencode for Second {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error> {
        Ok(self.indices[&index])
    }

    fn global_index(&mut self, index: u32) -> Result<u32, reencode::Error> {
        Ok(self.globals[&index])
    }

    fn table_index(&mut self, _index: u32) -> Result<u32, reencode::Error> {
        Ok(0)
    }
}

/// What memory and table are exported by for the second part.
const MEMORY: &str = "m";
const TABLE: &str = "t";

#[cfg(test)]
mod tests;
