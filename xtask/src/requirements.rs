//! `cargo xtask requirements`: joins the requirements of `spec/` with the code and the tests that cite them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use blake2::{Blake2s256, Digest as _};

/// Checks the requirements of the specification and who cites them.
///
/// Fails when an id is defined twice, cited but not defined, or differs from spec/requirements.lock, and when
/// a sentence has MUST and no id; and when a requirement has nobody who implements it or no test or vector,
/// unless spec/requirements-exceptions.csv says why.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Write spec/requirements.lock anew.
    #[arg(long)]
    accept: bool,
    /// List every requirement with those who cite it.
    #[arg(long)]
    list: bool,
}

/// Directories that hold code and tests.
const CODE: [&str; 9] =
    ["proto", "sim", "driver", "reference-server", "reference-peer", "lab", "fuzz", "conformance", "xtask"];

pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let root = crate::root();
    let mut faults = vec![];
    let requirements = defined(&root.join("spec"), &mut faults)?;
    let citations = cited(&root)?;
    for (id, places) in &citations {
        if !requirements.contains_key(id) {
            let place = places.implemented.iter().chain(&places.tested).next().cloned().unwrap_or_default();
            faults.push(format!("{id} is cited in {place} and not defined"));
        }
    }
    let lock = root.join("spec/requirements.lock");
    let text = locked(&requirements);
    if arguments.accept {
        std::fs::write(&lock, &text).with_context(|| lock.display().to_string())?;
    } else {
        compare(&std::fs::read_to_string(&lock).unwrap_or_default(), &text, &mut faults);
    }
    report(&requirements, &citations, arguments.list);
    let exceptions = std::fs::read_to_string(root.join("spec/requirements-exceptions.csv")).unwrap_or_default();
    uncited(&requirements, &citations, &exceptions, &mut faults);
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

/// The sentence of each requirement, by id.
fn defined(spec: &Path, faults: &mut Vec<String>) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for path in files(spec, "md")? {
        let name = path.file_name().unwrap_or_default().display().to_string();
        // It speaks about ids and has none.
        if name == "README.md" {
            continue;
        }
        let text = std::fs::read_to_string(&path)?;
        let mut fenced = false;
        for line in text.lines() {
            fenced ^= line.starts_with("```");
            if fenced {
                continue;
            }
            let mut sentence = line.trim_start().trim_start_matches("- ");
            while let Some((id, before, after)) = next_definition(sentence) {
                let before = last_sentence(before);
                if !before.contains("MUST") {
                    faults.push(format!("{name}: {id} stands behind a sentence without MUST"));
                }
                if found.insert(id.to_string(), before.to_string()).is_some() {
                    faults.push(format!("{name}: {id} is defined twice"));
                }
                sentence = after;
            }
            if sentence.contains("MUST") && !sentence.contains("\"MUST") {
                faults.push(format!("{name}: no id behind: {}", sentence.trim()));
            }
        }
    }
    Ok(found)
}

/// The first `[R-XXX-nnn]` of a line that ends a sentence, with what is before and behind it.
fn next_definition(line: &str) -> Option<(&str, &str, &str)> {
    let at = line.find(". [R-")? + 1;
    let (before, rest) = line.split_at(at);
    let (id, after) = rest.trim_start().strip_prefix('[')?.split_once(']')?;
    Some((id, before, after))
}

/// A requirement is one sentence; whatever precedes it on its line explains.
fn last_sentence(text: &str) -> &str {
    let text = text.trim();
    let body = text.strip_suffix('.').unwrap_or(text);
    body.rfind(". ").map_or(text, |at| &text[at + 2..])
}

/// Who cites a requirement.
#[derive(Default)]
struct Places {
    implemented: BTreeSet<String>,
    tested: BTreeSet<String>,
}

fn cited(root: &Path) -> anyhow::Result<BTreeMap<String, Places>> {
    let mut found: BTreeMap<String, Places> = BTreeMap::new();
    for directory in CODE {
        for path in files(&root.join(directory), "rs")? {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            // The flags of vectors name requirements; the vectors themselves are read below.
            if name.starts_with("xtask/src/vectors") || name == "xtask/src/requirements.rs" {
                continue;
            }
            let mut testing = is_test(&path);
            let text = std::fs::read_to_string(&path)?;
            let mut marked = false;
            for line in text.lines() {
                // `mod tests;` is another file.
                testing |= marked && !line.trim_end().ends_with(';');
                marked = line.trim() == "#[cfg(test)]";
                for id in ids(line) {
                    let places = found.entry(id).or_default();
                    let side = if testing { &mut places.tested } else { &mut places.implemented };
                    side.insert(name.clone());
                }
            }
        }
    }
    for path in files(&root.join("spec/vectors"), "json")? {
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        let file: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        for test in
            file["testGroups"].as_array().into_iter().flatten().flat_map(|group| group["tests"].as_array()).flatten()
        {
            for id in test["req"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str) {
                found.entry(id.into()).or_default().tested.insert(name.clone());
            }
        }
    }
    Ok(found)
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests") || path.file_name().is_some_and(|name| name == "tests.rs")
}

/// Every `R-XXX-nnn` of a line.
fn ids(line: &str) -> Vec<String> {
    line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| is_id(word)).map(String::from).collect()
}

fn is_id(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    matches!(parts.as_slice(), ["R", area, number]
        if !area.is_empty()
            && area.bytes().all(|c| c.is_ascii_uppercase())
            && number.len() == 3
            && number.bytes().all(|c| c.is_ascii_digit()))
}

fn files(directory: &Path, extension: &str) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = vec![];
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() {
                if path.file_name().is_none_or(|name| name != "target" && name != "vectors" || extension == "rs") {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The lock: an id and the hash of its sentence a line.
fn locked(requirements: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    for (id, sentence) in requirements {
        let digest = Blake2s256::digest(sentence.as_bytes());
        let short: String = digest[..8].iter().map(|octet| format!("{octet:02x}")).collect();
        let _ = writeln!(out, "{id} {short}");
    }
    out
}

fn compare(lock: &str, text: &str, faults: &mut Vec<String>) {
    let read = |text: &str| -> BTreeMap<String, String> {
        text.lines().filter_map(|line| line.split_once(' ')).map(|(id, hash)| (id.into(), hash.into())).collect()
    };
    let (before, after) = (read(lock), read(text));
    let hint = "see `cargo xtask requirements --accept`";
    for (id, hash) in &before {
        match after.get(id) {
            None => faults.push(format!("{id} is in requirements.lock and not in spec/; {hint}")),
            Some(found) if found != hash => faults.push(format!("the sentence of {id} has changed; {hint}")),
            Some(_) => {}
        }
    }
    for id in after.keys().filter(|id| !before.contains_key(*id)) {
        faults.push(format!("{id} is not in requirements.lock; {hint}"));
    }
}

/// Requirements that lack one of the two kinds of citation and have no exception, and exceptions without need.
fn uncited(
    requirements: &BTreeMap<String, String>,
    citations: &BTreeMap<String, Places>,
    exceptions: &str,
    faults: &mut Vec<String>,
) {
    let rows = exceptions.lines().skip(1).filter_map(|row| row.split_once(','));
    let excepted: BTreeMap<&str, &str> = rows.collect();
    let nobody = Places::default();
    for id in requirements.keys() {
        let Places { implemented, tested } = citations.get(id).unwrap_or(&nobody);
        let missing = match (implemented.is_empty(), tested.is_empty()) {
            (true, true) => "nobody implements or tests it",
            (true, false) => "nobody implements it",
            (false, true) => "nobody tests it",
            (false, false) => "",
        };
        match (missing, excepted.get(id.as_str())) {
            ("", Some(_)) => faults.push(format!("{id} is in requirements-exceptions.csv and needs no exception")),
            ("", None) => {}
            (_, Some(reason)) if !reason.trim().is_empty() => {}
            (missing, _) => faults.push(format!("{id}: {missing}; see spec/requirements-exceptions.csv")),
        }
    }
    for id in excepted.keys().filter(|id| !requirements.contains_key(**id)) {
        faults.push(format!("{id} is in requirements-exceptions.csv and not defined"));
    }
}

fn report(requirements: &BTreeMap<String, String>, citations: &BTreeMap<String, Places>, list: bool) {
    let nobody = Places::default();
    let places = |id: &str| citations.get(id).unwrap_or(&nobody);
    let mut areas: BTreeMap<&str, [usize; 4]> = BTreeMap::new();
    let mut uncovered = vec![];
    for (id, sentence) in requirements {
        let area = id.split('-').nth(1).unwrap_or_default();
        let Places { implemented, tested } = places(id);
        let bare = implemented.is_empty() && tested.is_empty();
        let counts = areas.entry(area).or_default();
        for (count, applies) in counts.iter_mut().zip([true, !implemented.is_empty(), !tested.is_empty(), bare]) {
            *count += usize::from(applies);
        }
        if bare {
            uncovered.push(id.as_str());
        }
        if list {
            println!("{id} {sentence}");
            for (what, names) in [("implemented", implemented), ("tested", tested)] {
                for name in names {
                    println!("    {what} in {name}");
                }
            }
        }
    }
    let total = areas.values().fold([0; 4], |sum, counts| std::array::from_fn(|at| sum[at] + counts[at]));
    println!("{:8} {:>6} {:>12} {:>7} {:>10}", "area", "total", "implemented", "tested", "uncovered");
    for (area, [all, implemented, tested, bare]) in areas.iter().chain([(&"all", &total)]) {
        println!("{area:8} {all:>6} {implemented:>12} {tested:>7} {bare:>10}");
    }
    if !uncovered.is_empty() {
        println!("uncovered: {}", uncovered.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_the_last_sentence_before_its_id() {
        let line = "It is so. A peer MUST do 1.5 of it. [R-ABC-001] More.";
        let (id, before, after) = next_definition(line).unwrap();
        assert_eq!((id, last_sentence(before), after), ("R-ABC-001", "A peer MUST do 1.5 of it.", " More."));
        assert_eq!(ids("// [R-ABC-001] and R-XY-012, not R-XY-1"), ["R-ABC-001", "R-XY-012"]);
    }

    #[test]
    fn a_requirement_without_code_or_test_is_a_fault_unless_it_is_excepted() {
        let requirements = ["R-A-001", "R-A-002", "R-A-003"].map(|id| (id.to_string(), String::new())).into();
        let places = |tested: &[&str]| Places {
            implemented: ["code".to_string()].into(),
            tested: tested.iter().map(|name| (*name).to_string()).collect(),
        };
        let citations = [("R-A-001".to_string(), places(&["test"])), ("R-A-002".to_string(), places(&[]))].into();
        let found = |exceptions: &str| {
            let mut faults = vec![];
            uncited(&requirements, &citations, exceptions, &mut faults);
            faults.len()
        };
        assert_eq!(found("id,reason\n"), 2);
        assert_eq!(found("id,reason\nR-A-002,hard\nR-A-003,none\n"), 0);
        assert_eq!(found("id,reason\nR-A-001,idle\nR-A-002,\nR-A-003,none\nR-A-009,gone\n"), 3);
    }

    #[test]
    fn a_changed_a_missing_and_a_new_sentence_are_faults() {
        let mut faults = vec![];
        compare("R-A-001 aa\nR-A-002 bb\n", "R-A-001 ab\nR-A-003 cc\n", &mut faults);
        assert_eq!(faults.len(), 3, "{faults:?}");
    }
}
