//! Makes a WebAssembly module smaller for the way: what is alike is there once, what is similar lies side by side.
//!
//! A generic function becomes one for each type, and many of those are the same instructions. The linker for
//! WebAssembly keeps them all. Others differ in a few offsets and calls; gzip uses that only where one lies at most
//! 32 KiB behind the other, and wasm-bindgen lays functions in the order of their lengths.

use std::collections::{HashMap, HashSet, VecDeque};

use anyhow::Context as _;
use wasm_encoder::reencode::{self, Reencode};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{CodeSectionReader, FunctionBody, FunctionSectionReader, Parser, Payload, TypeRef};

/// The same module with each function once, and each after those that it has most in common with.
pub(super) fn pack(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let module = folded(module)?;
    let functions = Functions::of(&module)?;
    let all: Vec<usize> = (0..functions.bodies.len()).collect();
    functions.arranged(&module, &by_likeness(&functions.bodies), &all)
}

/// The same module with each function once.
pub(super) fn folded(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut module = module.to_vec();
    loop {
        let functions = Functions::of(&module)?;
        let first = functions.first_alike();
        let kept: Vec<usize> = (0..first.len()).filter(|at| first[*at] == *at).collect();
        if kept.len() == first.len() {
            return Ok(module);
        }
        // What called them may be alike in turn.
        module = functions.arranged(&module, &kept, &first)?;
    }
}

/// The functions that a module defines.
pub(super) struct Functions<'a> {
    pub(super) imported: usize,
    pub(super) types: Vec<u32>,
    pub(super) bodies: Vec<FunctionBody<'a>>,
}

impl<'a> Functions<'a> {
    pub(super) fn of(module: &'a [u8]) -> anyhow::Result<Self> {
        let mut found = Self { imported: 0, types: Vec::new(), bodies: Vec::new() };
        for payload in Parser::new(0).parse_all(module) {
            match payload.context("the module does not parse")? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        found.imported += usize::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(section) => found.types = section.into_iter().collect::<Result<_, _>>()?,
                Payload::CodeSectionEntry(body) => found.bodies.push(body),
                _ => {}
            }
        }
        Ok(found)
    }

    /// For each function the first that has its type and its instructions.
    fn first_alike(&self) -> Vec<usize> {
        let mut seen = HashMap::new();
        let pairs = self.types.iter().zip(&self.bodies).enumerate();
        pairs.map(|(at, (of, body))| *seen.entry((*of, body.as_bytes())).or_insert(at)).collect()
    }

    /// The module with the functions `kept` in this order; each other one is replaced by its `first`, which is kept.
    fn arranged(&self, module: &[u8], kept: &[usize], first: &[usize]) -> anyhow::Result<Vec<u8>> {
        let mut places = vec![0; first.len()];
        for (place, at) in kept.iter().enumerate() {
            places[*at] = place;
        }
        let imported = 0..self.imported;
        let defined = first.iter().map(|at| self.imported + places[*at]);
        let indices = imported.chain(defined).map(u32::try_from).collect::<Result<_, _>>()?;
        let mut arranged = Module::new();
        Arrangement { kept, indices }
            .parse_core_module(&mut arranged, Parser::new(0), module)
            .context("the module cannot be arranged")?;
        Ok(arranged.finish())
    }
}

/// A module in the making: which functions it has, and the index that each function of the old one gets.
struct Arrangement<'k> {
    kept: &'k [usize],
    indices: Vec<u32>,
}

impl Reencode for Arrangement<'_> {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, reencode::Error> {
        Ok(self.indices[index as usize])
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        let types: Vec<u32> = section.into_iter().collect::<Result<_, _>>()?;
        for at in self.kept {
            functions.function(types[*at]);
        }
        Ok(())
    }

    fn parse_code_section(
        &mut self,
        code: &mut CodeSection,
        section: CodeSectionReader<'_>,
    ) -> Result<(), reencode::Error> {
        let bodies: Vec<FunctionBody<'_>> = section.into_iter().collect::<Result<_, _>>()?;
        for at in self.kept {
            self.parse_function_body(code, bodies[*at].clone())?;
        }
        Ok(())
    }
}

/// An order in which each function has much in common with those just before it: of all that are left, always the
/// one of which the largest part is in the window.
fn by_likeness(bodies: &[FunctionBody<'_>]) -> Vec<usize> {
    let mut users: HashMap<&[u8], Vec<usize>> = HashMap::new();
    for (at, body) in bodies.iter().enumerate() {
        let pieces: HashSet<&[u8]> = body.as_bytes().windows(PIECE).collect();
        for piece in pieces {
            users.entry(piece).or_default().push(at);
        }
    }
    // What everybody has tells nothing, nor does what one has alone.
    let pieces: Vec<Vec<usize>> = users.into_values().filter(|users| (2..=MAX_USERS).contains(&users.len())).collect();
    let mut of = vec![Vec::new(); bodies.len()];
    for (piece, users) in pieces.iter().enumerate() {
        users.iter().for_each(|at| of[*at].push(piece));
    }
    let mut times_in_window = vec![0_u32; pieces.len()];
    let mut in_common = vec![0_u64; bodies.len()];
    let mut left: Vec<usize> = (0..bodies.len()).collect();
    let mut window = VecDeque::new();
    let mut filled = 0;
    let mut order = Vec::new();
    let part = |at: usize, in_common: &[u64]| in_common[at] * 1_000_000 / (bodies[at].as_bytes().len() as u64 + 8);
    while let Some(next) = (0..left.len()).rev().max_by_key(|next| part(left[*next], &in_common)) {
        let at = left.remove(next);
        order.push(at);
        window.push_back(at);
        filled += bodies[at].as_bytes().len();
        for piece in &of[at] {
            times_in_window[*piece] += 1;
            if times_in_window[*piece] == 1 {
                pieces[*piece].iter().for_each(|user| in_common[*user] += 1);
            }
        }
        while filled > WINDOW
            && let Some(at) = window.pop_front()
        {
            filled -= bodies[at].as_bytes().len();
            for piece in &of[at] {
                times_in_window[*piece] -= 1;
                if times_in_window[*piece] == 0 {
                    pieces[*piece].iter().for_each(|user| in_common[*user] -= 1);
                }
            }
        }
    }
    order
}

/// Octets of a piece that two functions may have in common.
const PIECE: usize = 6;
/// The most functions of a piece.
const MAX_USERS: usize = 150;
/// Octets that gzip still sees behind it, less what it needs itself.
const WINDOW: usize = 28_000;

#[cfg(test)]
mod tests {
    use wasm_encoder::{
        CodeSection, ExportKind, ExportSection, Function, FunctionSection, Instruction, Module, TypeSection, ValType,
    };
    use wasmparser::{ExternalKind, Operator, Parser, Payload};

    use super::*;

    /// Functions without arguments that give a number each: what it is, or what another function gives.
    fn module(functions: &[(&str, Instruction<'_>)]) -> Vec<u8> {
        typed(ValType::I32, functions)
    }

    fn typed(result: ValType, functions: &[(&str, Instruction<'_>)]) -> Vec<u8> {
        let (mut types, mut section) = (TypeSection::new(), FunctionSection::new());
        let (mut exports, mut code) = (ExportSection::new(), CodeSection::new());
        types.ty().function([], [result]);
        for (index, (name, instruction)) in (0..).zip(functions) {
            section.function(0);
            exports.export(name, ExportKind::Func, index);
            let mut body = Function::new([]);
            body.instruction(instruction).instruction(&Instruction::End);
            code.function(&body);
        }
        let mut module = Module::new();
        module.section(&types).section(&section).section(&exports).section(&code);
        module.finish()
    }

    /// What an exported function gives.
    fn value(module: &[u8], export: &str) -> i32 {
        let mut exported = None;
        for payload in Parser::new(0).parse_all(module) {
            if let Payload::ExportSection(section) = payload.unwrap() {
                exported = section.into_iter().map(Result::unwrap).find(|found| found.name == export);
            }
        }
        let exported = exported.unwrap();
        assert_eq!(exported.kind, ExternalKind::Func);
        let functions = Functions::of(module).unwrap();
        let mut index = exported.index;
        loop {
            match functions.bodies[index as usize].get_operators_reader().unwrap().read().unwrap() {
                Operator::I32Const { value } => return value,
                Operator::Call { function_index } => index = function_index,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn functions_that_are_alike_become_one_and_every_export_stays_what_it_was() {
        let number = Instruction::I32Const;
        let call = Instruction::Call;
        let all = [
            ("a", number(1)),
            ("b", number(2)),
            ("c", number(1)),
            // These two are alike as soon as what they call is one.
            ("d", call(0)),
            ("f", call(2)),
            ("e", call(1)),
        ];
        let before = module(&all);
        let after = pack(&before).unwrap();
        for (name, _) in &all {
            assert_eq!(value(&after, name), value(&before, name), "{name}");
        }
        assert_eq!(Functions::of(&before).unwrap().bodies.len(), 6);
        assert_eq!(Functions::of(&after).unwrap().bodies.len(), 4);
    }

    #[test]
    fn a_function_follows_what_it_is_like() {
        let one = Instruction::I64Const(0x0123_4567_89ab_cdef);
        let like_one = Instruction::I64Const(0x0123_4567_89ab_cdee);
        let other = Instruction::F64Const(1.0.into());
        let like_other = Instruction::F64Const(f64::from_bits(1.0_f64.to_bits() + 1).into());
        let module = typed(ValType::I64, &[("a", one), ("b", other), ("c", like_one), ("d", like_other)]);
        let functions = Functions::of(&module).unwrap();
        assert_eq!(by_likeness(&functions.bodies), [0, 2, 1, 3]);
    }
}
