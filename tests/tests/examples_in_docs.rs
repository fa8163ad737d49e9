//! Each public type of the libraries has an example: in its own documentation, in that of what it builds, or by a link to
//! the type whose example shows it.
//!
//! The sources are read line by line, as `cargo fmt` leaves them; what a reader of the documentation sees is judged by
//! `cargo doc` and the doctests.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::BTreeMap;

use tls_tests::source::{rust_files, workspace};

/// Types without one, each with its reason.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "TapeEntry",
    "of a module for our own tests, which release builds do not have",
)];

type Files = [(String, String)];

#[test]
fn every_public_type_has_an_example() {
    let mut crates = 0;
    let mut lacking = Vec::new();
    for entry in std::fs::read_dir(workspace().join("crates")).unwrap() {
        let sources = entry.unwrap().path().join("src");
        if !sources.join("lib.rs").is_file() {
            continue;
        }
        crates += 1;
        lacking.extend(without_example(&rust_files(&sources), &EXCEPTIONS));
    }
    assert!(crates >= 4, "{crates} libraries");
    assert!(lacking.is_empty(), "no example: {lacking:?}");
}

#[test]
fn every_exception_is_needed() {
    let files = rust_files(&workspace().join("crates"));
    for (name, _) in EXCEPTIONS {
        let docs = docs(&files);
        let doc = docs.get(name).unwrap_or_else(|| panic!("there is no {name}"));
        assert!(!doc.contains("```"), "{name} has an example");
    }
}

#[test]
fn a_type_without_an_example_is_found() {
    let lacking = |text: &str| {
        let file = [("lib.rs".to_owned(), text.to_owned())];
        without_example(&file, &[("Excused", "reason")])
    };
    let none: [&str; 0] = [];
    assert_eq!(lacking("pub struct One;"), ["One"]);
    assert_eq!(lacking("/// Text.\n#[derive(Debug)]\npub enum One {}"), ["One"]);
    let shown = "/// ```\n/// ```\npub struct One;\n\n";
    assert_eq!(lacking(shown), none);
    assert_eq!(lacking(&format!("{shown}/// Text.\npub trait Two {{}}")), ["Two"]);
    let hidden = "/// Text.\npub(crate) struct Three;\nstruct Four;";
    assert_eq!(
        lacking(&format!("mod a;\npub use a::{{One, two}};\n{hidden}")),
        ["One"]
    );
    assert_eq!(lacking("mod a;\npub use another::One;"), none);
    assert_eq!(lacking("/// Text.\npub struct Excused;"), none);
    let builder = "/// Text.\npub struct OneBuilder;";
    assert_eq!(lacking(&format!("{shown}{builder}")), ["OneBuilder"]);
    let built = shown.replacen("/// ```\n", "/// ```\n/// One::builder()\n", 1);
    assert_eq!(lacking(&format!("{built}{builder}")), none);
    let referring = "/// Example: that of [`One`](crate::One).\npub enum Two {}";
    assert_eq!(lacking(&format!("{shown}{referring}")), none);
    assert_eq!(lacking(referring), ["Two"]);
}

/// Called in the guides' tables, and not ours: they belong to Tokio's traits, or to every type.
const METHODS_OF_OTHERS: [&str; 3] = ["shutdown", "clone", "to_string"];

#[test]
fn every_method_in_the_tables_of_the_guides_exists() {
    let sources = rust_files(&workspace().join("crates"));
    let guides = workspace().join("crates/tls-tokio/src/guide");
    let mut calls = BTreeMap::new();
    for page in std::fs::read_dir(guides).unwrap() {
        let path = page.unwrap().path();
        let page = path.file_stem().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        for row in text.lines().filter_map(|line| line.strip_prefix("| ")) {
            // What stands first in a table of translations is the others'.
            let ours = if page.starts_with("from_") {
                row.split_once(" | ").unwrap().1
            } else {
                row
            };
            calls.extend(methods(ours).map(|name| (name.to_owned(), page.to_owned())));
        }
    }
    assert!(calls.len() > 40, "{calls:?}");
    calls.retain(|name, _| {
        let function = [format!("fn {name}("), format!("fn {name}<")];
        let is_ours = sources
            .iter()
            .any(|(_, text)| function.iter().any(|call| text.contains(call)));
        !is_ours && !METHODS_OF_OTHERS.contains(&&**name)
    });
    assert!(calls.is_empty(), "there are no {calls:?}");
}

/// Names behind a point or a double colon and before a parenthesis.
fn methods(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('(').filter_map(move |(end, _)| {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let before = text[..end].trim_end_matches(is_word);
        let name = &text[before.len()..end];
        (before.ends_with('.') || before.ends_with("::")).then_some(name)
    })
}

/// The public types of a crate, by the names in its `lib.rs` and in modules that are public themselves, that have no
/// example.
fn without_example(files: &Files, exceptions: &[(&str, &str)]) -> Vec<String> {
    let docs = docs(files);
    let has_own = |name: &str| docs.get(name).is_some_and(|doc| doc.contains("```"));
    let has_example = |name: &String| {
        let doc = docs.get(name).map_or("", String::as_str);
        let built = name
            .strip_suffix("Builder")
            .and_then(|built| Some((built, docs.get(built)?)));
        has_own(name)
            || built.is_some_and(|(built, doc)| doc.contains(&format!("{built}::builder(")))
            || see(doc).is_some_and(has_own)
            || exceptions.iter().any(|(excepted, _)| excepted == name)
    };
    let mut names = public_names(files);
    // What is re-exported from another crate has its documentation there.
    names.retain(|name| docs.contains_key(name) || !is_from_elsewhere(files, name));
    names.retain(|name| !has_example(name));
    names
}

/// The type in `Example: that of [`X`](crate::X).`
fn see(doc: &str) -> Option<&str> {
    let (_, rest) = doc.split_once("Example: that of [`")?;
    rest.split_once('`').map(|(name, _)| name)
}

fn is_type_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase()) && word.contains(|c: char| c.is_ascii_lowercase())
}

/// Types that `lib.rs` re-exports or declares, and those that modules declare which it declares public.
fn public_names(files: &Files) -> Vec<String> {
    let text = |file: &str| {
        files
            .iter()
            .find(|(path, _)| path.ends_with(file))
            .map(|(_, text)| text.as_str())
    };
    let lib = text("lib.rs").expect("a library has a lib.rs");
    let mut names = Vec::new();
    for statement in lib.split("pub use ").skip(1) {
        let statement = statement.split(';').next().unwrap_or_default();
        let words = statement.split(|c: char| !c.is_alphanumeric() && c != '_');
        names.extend(words.filter(|word| is_type_name(word)).map(ToOwned::to_owned));
    }
    names.extend(lib.lines().filter_map(declared).map(ToOwned::to_owned));
    for module in lib
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
    {
        let sources = text(&format!("/{module}.rs")).or_else(|| text(&format!("{module}/mod.rs")));
        names.extend(
            sources
                .unwrap_or_default()
                .lines()
                .filter_map(declared)
                .map(ToOwned::to_owned),
        );
    }
    names
}

/// The type that this line begins to declare for all to use, inside a macro too.
fn declared(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix("pub ")?;
    let rest = ["struct ", "enum ", "trait ", "type "]
        .iter()
        .find_map(|keyword| rest.strip_prefix(keyword))?;
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    Some(&rest[..end]).filter(|name| is_type_name(name))
}

/// Whether a name comes by a `pub use` of another crate.
fn is_from_elsewhere(files: &Files, name: &str) -> bool {
    let (_, lib) = files.iter().find(|(path, _)| path.ends_with("lib.rs")).unwrap();
    let modules: Vec<&str> = lib
        .lines()
        .filter_map(|line| {
            line.trim_start_matches("pub ")
                .strip_prefix("mod ")?
                .strip_suffix(';')
        })
        .collect();
    lib.split("pub use ").skip(1).any(|statement| {
        let statement = statement.split(';').next().unwrap_or_default();
        let from = statement.split("::").next().unwrap_or_default();
        let mut words = statement.split(|c: char| !c.is_alphanumeric() && c != '_');
        !modules.contains(&from) && from != "crate" && words.any(|word| word == name)
    })
}

/// The documentation of each public type, by name. Code points are declared inside a macro, as `Name(u16) {`; a type that
/// another crate's has the same name as is told apart by nothing, so each crate is read alone.
fn docs(files: &Files) -> BTreeMap<String, String> {
    let mut docs = BTreeMap::new();
    for (_, text) in files {
        let mut doc = String::new();
        for line in text.lines() {
            let trimmed = line.trim_start();
            if let Some(line) = trimmed.strip_prefix("///") {
                doc.push_str(line);
                doc.push('\n');
            } else if let Some(name) = declared(line).or_else(|| code_point(trimmed)) {
                let entry: &mut String = docs.entry(name.to_owned()).or_default();
                entry.push_str(&doc);
                doc.clear();
            } else if !trimmed.starts_with("#[") {
                doc.clear();
            }
        }
    }
    docs
}

fn code_point(line: &str) -> Option<&str> {
    let (name, _) = line.strip_suffix(") {")?.split_once("(u")?;
    is_type_name(name).then_some(name)
}
