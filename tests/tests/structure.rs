//! The promises that the compiler does not check: floors, rooms, file sizes, lints.
//!
//! Each check is a function over texts, so that each is also tried on a bad sample: a check that cannot fail is none.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};

use tls_tests::source::{Token, crate_paths, module_of, rust_files, tokens, without_tests, workspace};

/// The modules of tls-core from the ground up: a module may use lower floors. A new module is entered here.
const FLOORS: [(&str, &[&str]); 6] = [
    (
        "words",
        &["registry", "wire", "alert", "error", "properties", "test_vectors"],
    ),
    ("messages and crypto", &["messages", "crypto"]),
    (
        "mechanism",
        &[
            "hello_data",
            "record",
            "transcript",
            "key_schedule",
            "key_schedule12",
            "session",
            "tamper",
            "ticket",
            "verify",
        ],
    ),
    ("ground", &["hooks", "config", "negotiated", "peer", "connection"]),
    ("protocol", &["handshake"]),
    ("face", &["drive", "fuzzing", "lib"]),
];

/// Floors whose modules know nothing of each other. On the others they may, as long as there is no cycle.
const STRANGERS: [&str; 2] = ["messages and crypto", "protocol"];

/// Longer files hide more than one thing.
const MAX_LINES: usize = 700;

/// Lints that keep panics away from the network.
const PANIC_LINTS: [&str; 3] = ["unwrap_used", "expect_used", "indexing_slicing"];

type Files = [(String, String)];

#[test]
fn no_module_of_the_core_looks_up() {
    assert_none(&floor_violations(&rust_files(
        &workspace().join("crates/tls-core/src"),
    )));
}

#[test]
fn no_modules_of_the_core_use_each_other_in_a_circle() {
    assert_none(&cycles(&edges(&rust_files(
        &workspace().join("crates/tls-core/src"),
    ))));
}

#[test]
fn each_dependency_is_named_in_its_room_only() {
    let found = rust_files(&workspace().join("crates"));
    assert_none(&room_violations(&found));
    let manifest = std::fs::read_to_string(workspace().join("crates/tls-core/Cargo.toml")).unwrap();
    assert!(!depends_on(&manifest, "tokio"), "tls-core depends on a runtime");
}

#[test]
fn no_file_is_too_long() {
    assert_none(&too_long(&rust_files(&workspace())));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    let read = |path: &str| std::fs::read_to_string(workspace().join(path)).unwrap();
    assert_none(&missing_lints(&read("Cargo.toml")));
    let mut members = vec!["tests".to_owned(), "tests/bogo".to_owned(), "benches".to_owned()];
    for entry in std::fs::read_dir(workspace().join("crates")).unwrap() {
        members.push(format!("crates/{}", entry.unwrap().file_name().to_string_lossy()));
    }
    assert!(members.len() >= 5, "{members:?}");
    for member in members {
        assert!(
            takes_workspace_lints(&read(&format!("{member}/Cargo.toml"))),
            "{member} takes no [lints] workspace"
        );
    }
}

/// A tape of randomness is for tests alone: no crate that is shipped asks for it, and none has it in release builds.
#[test]
fn only_the_tests_have_recorded_crypto() {
    const FEATURE: &str = "dangerous-recorded-crypto";
    let manifests = std::fs::read_dir(workspace().join("crates")).unwrap();
    for manifest in manifests.map(|entry| entry.unwrap().path().join("Cargo.toml")) {
        let text = std::fs::read_to_string(&manifest).unwrap();
        let declared = usize::from(manifest.ends_with("tls-core/Cargo.toml"));
        assert_eq!(text.matches(FEATURE).count(), declared, "{}", manifest.display());
    }
    for (file, text) in rust_files(&workspace().join("crates/tls-core")) {
        let guarded = text.matches("debug_assertions))").count();
        assert_eq!(
            text.matches(&format!("feature = \"{FEATURE}\"")).count(),
            guarded,
            "{file}"
        );
    }
}

#[test]
fn every_exception_to_the_panic_lints_has_a_reason() {
    assert_none(&unreasoned_exceptions(&rust_files(&workspace())));
}

#[test]
fn nothing_unfinished_and_no_exit_in_the_crates() {
    assert_none(&forbidden_calls(&rust_files(&workspace().join("crates"))));
}

// ---- the checks

/// Room of a path below the crate: its first module, or `lib` for what stands at the root.
fn room<'a>(path: &'a [String], modules: &BTreeSet<String>) -> &'a str {
    path.first()
        .filter(|first| modules.contains(*first))
        .map_or("lib", String::as_str)
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

/// Who uses whom, outside tests: (from, to) with one place as witness.
fn edges(files: &Files) -> BTreeMap<(String, String), String> {
    let modules: BTreeSet<String> = files
        .iter()
        .filter_map(|(file, _)| module_of(file).first().cloned())
        .collect();
    let mut edges = BTreeMap::new();
    for (file, code) in outside_tests(files) {
        let module = module_of(&file);
        for (path, line) in crate_paths(&code, &module) {
            // In lib.rs, `use std::...` names no module of ours.
            if module.is_empty() && !path.first().is_some_and(|first| modules.contains(first)) {
                continue;
            }
            let (from, to) = (room(&module, &modules), room(&path, &modules));
            if from != to {
                edges
                    .entry((from.to_owned(), to.to_owned()))
                    .or_insert_with(|| format!("{file}:{line}"));
            }
        }
    }
    edges
}

fn floor_violations(files: &Files) -> Vec<String> {
    let mut violations = Vec::new();
    for (file, _) in files {
        let module = module_of(file);
        let room = module.first().map_or("lib", String::as_str);
        if floor(room).is_none() {
            violations.push(format!("{file}: the module `{room}` has no floor in this test"));
        }
    }
    for ((from, to), place) in edges(files) {
        let (Some(from_floor), Some(to_floor)) = (floor(&from), floor(&to)) else {
            continue;
        };
        if to_floor > from_floor {
            violations.push(format!("{place}: {from} looks up to {to}"));
        } else if to_floor == from_floor && STRANGERS.contains(&FLOORS[from_floor].0) {
            violations.push(format!(
                "{place}: {from} may not know {to}, which is on the same floor"
            ));
        }
    }
    violations
}

fn cycles(edges: &BTreeMap<(String, String), String>) -> Vec<String> {
    // Take away again and again what uses nothing that is left; what remains stands on a circle or above one.
    let mut left: BTreeMap<&(String, String), &String> = edges.iter().collect();
    loop {
        let users: BTreeSet<&String> = left.keys().map(|(from, _)| from).collect();
        let before = left.len();
        left.retain(|(_, to), _| users.contains(to));
        if left.len() == before {
            break;
        }
    }
    left.iter()
        .map(|((from, to), place)| format!("{place}: {from} uses {to}, in or above a circle"))
        .collect()
}

/// `files` are those below `crates`.
fn room_violations(files: &Files) -> Vec<String> {
    let rooms: [(&str, &[&str]); 2] = [
        (
            "aws_lc_rs",
            &[
                "tls-core/src/crypto.rs",
                "tls-core/src/crypto/",
                // A second opinion on the first one's keys.
                "tls-transcript/src/keys.rs",
            ],
        ),
        (
            "webpki",
            &[
                "tls-core/src/verify.rs",
                "tls-core/src/verify/",
                "tls-core/src/crypto/verification.rs",
                "tls-core/src/crypto/verification/",
            ],
        ),
    ];
    let mut violations = Vec::new();
    for (file, code) in outside_tests(files)
        .into_iter()
        .filter(|(file, _)| file.contains("/src/"))
    {
        for token in &code {
            for (name, homes) in rooms {
                let at_home = homes
                    .iter()
                    .any(|home| file == *home || home.ends_with('/') && file.starts_with(home));
                if token.text == name && !at_home {
                    violations.push(format!("{file}:{}: names {name}", token.line));
                }
            }
            if token.text == "tokio" && file.starts_with("tls-core/") {
                violations.push(format!("{file}:{}: names tokio", token.line));
            }
        }
    }
    violations
}

/// Whether the `[dependencies]` of this manifest have the crate (not the dev-dependencies).
fn depends_on(manifest: &str, name: &str) -> bool {
    section(manifest, "dependencies").any(|line| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
    })
}

/// The lines of one table of a TOML file.
fn section<'a>(toml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let head = format!("[{name}]");
    toml.lines()
        .map(str::trim)
        .skip_while(move |line| *line != head)
        .skip(1)
        .take_while(|line| !line.starts_with('['))
}

fn too_long(files: &Files) -> Vec<String> {
    files
        .iter()
        .map(|(file, text)| (file, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(file, lines)| format!("{file}: {lines} lines, more than {MAX_LINES}"))
        .collect()
}

fn missing_lints(manifest: &str) -> Vec<String> {
    let mut missing = Vec::new();
    if !section(manifest, "workspace.lints.rust").any(|line| line == "unsafe_code = \"forbid\"") {
        missing.push("unsafe code is not forbidden".to_owned());
    }
    for lint in PANIC_LINTS {
        let set = |line: &str| line == format!("{lint} = \"warn\"") || line == format!("{lint} = \"deny\"");
        if !section(manifest, "workspace.lints.clippy").any(set) {
            missing.push(format!("{lint} is not on"));
        }
    }
    missing
}

fn takes_workspace_lints(manifest: &str) -> bool {
    section(manifest, "lints").any(|line| line == "workspace = true")
}

fn unreasoned_exceptions(files: &Files) -> Vec<String> {
    let mut violations = Vec::new();
    for (file, text) in files {
        for attribute in attributes(&tokens(text)) {
            let words: Vec<&str> = attribute.iter().map(|token| token.text.as_str()).collect();
            let relaxes = words.iter().any(|word| matches!(*word, "allow" | "expect"));
            let ours = |word: &&str| PANIC_LINTS.contains(word) || matches!(*word, "restriction");
            let reasoned = words
                .windows(3)
                .any(|three| three[..2] == ["reason", "="] && three[2] == "\"…\"");
            if relaxes && words.iter().any(ours) && !reasoned {
                violations.push(format!(
                    "{file}:{}: an exception without a reason",
                    attribute[0].line
                ));
            }
        }
    }
    violations
}

/// What stands between the brackets of each `#[...]` and `#![...]`.
fn attributes(tokens: &[Token]) -> Vec<&[Token]> {
    let mut found = Vec::new();
    for (i, pair) in tokens.windows(3).enumerate() {
        let open = match [&*pair[0].text, &*pair[1].text, &*pair[2].text] {
            ["#", "[", _] => i + 1,
            ["#", "!", "["] => i + 2,
            _ => continue,
        };
        let mut depth = 0;
        let end = tokens[open..].iter().position(|token| {
            depth += i32::from(token.text == "[") - i32::from(token.text == "]");
            depth == 0
        });
        found.push(&tokens[open..open + end.unwrap_or(0)]);
    }
    found
}

/// `files` are those below `crates`.
fn forbidden_calls(files: &Files) -> Vec<String> {
    let mut violations = Vec::new();
    for (file, code) in outside_tests(files)
        .into_iter()
        .filter(|(file, _)| file.contains("/src/"))
    {
        let words: Vec<&str> = code.iter().map(|token| token.text.as_str()).collect();
        for (i, token) in code.iter().enumerate() {
            let rest = &words[i..];
            let is_macro = matches!(rest, ["todo" | "unimplemented" | "dbg", "!", ..]);
            if is_macro || rest.starts_with(&["process", "::", "exit"]) {
                violations.push(format!("{file}:{}: {}", token.line, rest[0]));
            }
        }
    }
    violations
}

/// The files with what is compiled outside tests; files of `#[cfg(test)] mod name;` are left out.
fn outside_tests(files: &Files) -> Vec<(String, Vec<Token>)> {
    let mut kept = Vec::new();
    let mut test_modules = BTreeSet::new();
    for (file, text) in files {
        let (code, modules) = without_tests(&tokens(text));
        test_modules.extend(
            modules
                .into_iter()
                .map(|name| [module_of(file), vec![name]].concat()),
        );
        kept.push((file.clone(), code));
    }
    kept.retain(|(file, _)| {
        !(1..=module_of(file).len()).any(|n| test_modules.contains(&module_of(file)[..n]))
    });
    kept
}

fn assert_none(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}", violations.join("\n"));
}

// ---- the checks fail when they should

fn sample(files: &[(&str, &str)]) -> Vec<(String, String)> {
    files
        .iter()
        .map(|(file, text)| ((*file).to_owned(), (*text).to_owned()))
        .collect()
}

/// Room `wire` in a crate that also has a handshake and a record room.
fn wire_with(text: &str) -> Vec<(String, String)> {
    sample(&[
        (
            "lib.rs",
            "mod wire; mod record; mod handshake; pub use wire::Reader;",
        ),
        ("wire.rs", text),
        ("alert.rs", ""),
        ("record/mod.rs", ""),
        ("record/join.rs", ""),
        ("handshake/client.rs", ""),
    ])
}

#[test]
fn a_look_up_is_found_in_every_form() {
    for text in [
        "use crate::record::Join;",
        "pub(crate) use crate::handshake;",
        "use crate::{alert::Alert, record::{self, join::Join}};",
        "use super::record::Join;",
        "fn f() { let x = crate::handshake::client::connect(); }",
        "use crate::Reader;",
        "mod inner { use super::super::record::Join; }",
        "#[cfg(not(test))] use crate::record::Join;",
        "#[cfg(test)] mod tests { use super::*; } use crate::record::Join;",
        "#[cfg(test)] fn helper<A, B>(a: A) {} use crate::record::Join;",
        "const C: char = '\"'; use crate::record::Join; const D: char = '\"';",
        "fn f<'a>(x: &'a str) { crate::record::join(x) }",
        "const R: &str = r#\"\"#; use crate::record::Join; // \"#",
    ] {
        assert_eq!(floor_violations(&wire_with(text)).len(), 1, "{text}");
    }
}

#[test]
fn what_is_no_look_up_is_not_taken_for_one() {
    for text in [
        "// use crate::record::Join;",
        "/// See [`crate::record::Join`].\nstruct Reader;",
        "/* outer /* crate::record */ crate::record */",
        "const S: &str = \"crate::record::Join\";",
        "const S: &str = r#\"a \" crate::record::Join\"#;",
        "#[cfg(test)]\nmod tests {\n use crate::record::Join;\n fn f() {}\n}",
        "#[cfg(test)] use crate::record::Join;",
        "#[cfg(test)] #[derive(Debug)] struct S { x: crate::record::Join }",
        "struct S { #[cfg(test)] x: crate::record::Join, y: u8 }",
        "pub(crate) struct S; use self::inner::X; mod inner { use super::S; }",
    ] {
        assert_none(&floor_violations(&wire_with(text)));
    }
}

#[test]
fn a_look_up_names_its_place() {
    let found = floor_violations(&wire_with("//! Wire.\n\nuse crate::record::Join;\n"));
    assert_eq!(found, ["wire.rs:3: wire looks up to record"]);
}

#[test]
fn messages_and_crypto_are_strangers() {
    let files = sample(&[
        ("lib.rs", ""),
        ("messages/a.rs", "use crate::crypto::Suite;"),
        ("crypto/suites.rs", ""),
    ]);
    assert_eq!(floor_violations(&files).len(), 1);
    let apart = sample(&[
        ("messages/a.rs", "use super::b::B;"),
        ("messages/b.rs", ""),
        ("crypto/suites.rs", ""),
    ]);
    assert_none(&floor_violations(&apart));
}

#[test]
fn a_module_without_a_floor_is_found() {
    assert_eq!(floor_violations(&sample(&[("helpers.rs", "")])).len(), 1);
}

#[test]
fn a_file_of_tests_is_exempt() {
    let files = sample(&[
        ("wire.rs", "#[cfg(test)] mod tests;"),
        ("wire/tests.rs", "use crate::record::Join;"),
        ("record/mod.rs", ""),
    ]);
    assert_none(&floor_violations(&files));
}

#[test]
fn a_circle_is_found() {
    let line = sample(&[
        ("config.rs", "use crate::hooks::A;"),
        ("hooks.rs", ""),
        ("peer.rs", "use crate::config::B;"),
    ]);
    assert_none(&cycles(&edges(&line)));
    let circle = sample(&[
        ("config.rs", "use crate::hooks::A;"),
        ("hooks.rs", "use crate::peer::A;"),
        ("peer.rs", "use crate::config::B;"),
    ]);
    assert_eq!(cycles(&edges(&circle)).len(), 3);
    let by_the_root = sample(&[
        ("lib.rs", "pub use connection::C;"),
        ("connection.rs", "use crate::Error;"),
    ]);
    assert_eq!(cycles(&edges(&by_the_root)).len(), 2);
}

#[test]
fn a_dependency_outside_its_room_is_found() {
    for (file, text) in [
        ("tls-core/src/record/protect.rs", "use aws_lc_rs::aead;"),
        (
            "tls-tokio/src/link.rs",
            "fn f() { aws_lc_rs::rand::fill(&mut []) }",
        ),
        ("tls-core/src/config.rs", "use webpki::EndEntityCert;"),
        ("tls-core/src/crypto/sign.rs", "use webpki::EndEntityCert;"),
        ("tls-core/src/hooks.rs", "use tokio::time::sleep;"),
    ] {
        assert_eq!(room_violations(&sample(&[(file, text)])).len(), 1, "{file}");
    }
    assert_none(&room_violations(&sample(&[
        ("tls-core/src/crypto/aead.rs", "use aws_lc_rs::aead;"),
        ("tls-core/src/crypto/verification.rs", "use webpki::aws;"),
        (
            "tls-core/src/verify.rs",
            "use webpki::EndEntityCert; // not tokio",
        ),
        ("tls-core/src/config.rs", "use webpki_roots::TLS_SERVER_ROOTS;"),
        ("tls-tokio/src/link.rs", "use tokio::io::AsyncRead;"),
    ])));
}

#[test]
fn a_dependency_on_a_runtime_is_found() {
    assert!(depends_on("[dependencies]\ntokio.workspace = true\n", "tokio"));
    assert!(depends_on(
        "[dependencies]\nbytes = \"1\"\ntokio = { version = \"1\" }\n",
        "tokio"
    ));
    assert!(!depends_on(
        "[dependencies]\ntokio-util = \"1\"\n[dev-dependencies]\ntokio = \"1\"\n",
        "tokio"
    ));
}

#[test]
fn a_long_file_is_found() {
    assert_none(&too_long(&sample(&[("a.rs", &"x\n".repeat(MAX_LINES))])));
    assert_eq!(
        too_long(&sample(&[("a.rs", &"x\n".repeat(MAX_LINES + 1))])).len(),
        1
    );
}

#[test]
fn a_missing_lint_is_found() {
    let good = "[workspace.lints.rust]\nunsafe_code = \"forbid\"\n[workspace.lints.clippy]\nunwrap_used = \"warn\"\n\
                expect_used = \"warn\"\nindexing_slicing = \"deny\"\n";
    assert_none(&missing_lints(good));
    for lint in ["unsafe_code", "unwrap_used", "expect_used", "indexing_slicing"] {
        assert_eq!(missing_lints(&good.replace(lint, "other")).len(), 1, "{lint}");
        assert_eq!(
            missing_lints(&good.replace(&format!("{lint} = "), &format!("{lint} = \"allow\" #"))).len(),
            1
        );
    }
    assert!(takes_workspace_lints("[lints]\nworkspace = true\n"));
    assert!(!takes_workspace_lints("[lints.rust]\nworkspace = true\n"));
    assert!(!takes_workspace_lints("[package]\nworkspace = true\n[lints]\n"));
}

#[test]
fn an_exception_without_a_reason_is_found() {
    for text in [
        "#[allow(clippy::unwrap_used)] fn f() {}",
        "#![expect(clippy::indexing_slicing)]",
        "#[expect(dead_code, clippy::expect_used, reason = \"\")] fn f() {}",
        "#[cfg_attr(test, allow(clippy::unwrap_used))] fn f() {}",
        "#[allow(clippy::restriction)] fn f() {}",
        "// reason = \"none\"\n#[allow(clippy::unwrap_used)] fn f() {}",
    ] {
        assert_eq!(
            unreasoned_exceptions(&sample(&[("a.rs", text)])).len(),
            1,
            "{text}"
        );
    }
    for text in [
        "#[expect(clippy::indexing_slicing, reason = \"the mask keeps it below 64\")] fn f() {}",
        "#[allow(dead_code)] fn unwrap_used() {}",
        "// #[allow(clippy::unwrap_used)]",
    ] {
        assert_none(&unreasoned_exceptions(&sample(&[("a.rs", text)])));
    }
}

#[test]
fn a_forbidden_call_is_found() {
    for text in [
        "std::process::exit(1);",
        "todo!()",
        "unimplemented!(\"x\")",
        "dbg!(x)",
        "process :: exit(0)",
    ] {
        let text = format!("fn f() {{ {text} }}");
        assert_eq!(
            forbidden_calls(&sample(&[("tls-cli/src/main.rs", &text)])).len(),
            1,
            "{text}"
        );
    }
    for text in [
        "// todo!()",
        "#[cfg(test)] fn f() { todo!() }",
        "const S: &str = \"dbg!\";",
        "fn todo() {}",
    ] {
        assert_none(&forbidden_calls(&sample(&[("tls-cli/src/main.rs", text)])));
    }
    assert_none(&forbidden_calls(&sample(&[(
        "tls-cli/tests/cli.rs",
        "fn f() { todo!() }",
    )])));
}
