//! What a release needs and nobody looks at in between: metadata, licences, versions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "tests"
)]

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;
use tls_tests::source::workspace;

/// What cargo knows of the workspace and its dependencies, as they are locked.
fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
            .current_dir(workspace())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    })
}

/// The packages in `crates/`, with their directories.
fn shipped() -> Vec<(&'static Value, &'static Path)> {
    let crates = workspace().join("crates").canonicalize().unwrap();
    let packages = metadata()["packages"].as_array().unwrap();
    let shipped = packages.iter().filter_map(|package| {
        let directory = Path::new(package["manifest_path"].as_str()?).parent()?;
        let parent = directory.parent()?.canonicalize().ok()?;
        (package["source"].is_null() && parent == crates).then_some((package, directory))
    });
    let shipped: Vec<_> = shipped.collect();
    assert!(shipped.len() >= 6, "{}", shipped.len());
    shipped
}

#[test]
fn each_crate_can_be_found_and_may_be_used() {
    for (package, directory) in shipped() {
        let name = package["name"].as_str().unwrap();
        let words = |field: &str| package[field].as_array().unwrap().len();
        assert!(package["description"].as_str().unwrap().len() > 20, "{name}");
        assert_eq!(package["license"], "MIT OR Apache-2.0", "{name}");
        // No more than five of each (crates.io).
        assert!((1..=5).contains(&words("keywords")), "{name}");
        assert!((1..=5).contains(&words("categories")), "{name}");
        assert!(package["rust_version"].is_string(), "{name}");
        assert!(package["publish"].is_null(), "{name} cannot be published");
        assert!(
            directory.join(package["readme"].as_str().unwrap()).is_file(),
            "{name}"
        );
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            let ours = std::fs::read(directory.join(licence)).unwrap();
            assert_eq!(ours, std::fs::read(workspace().join(licence)).unwrap(), "{name}");
        }
    }
}

#[test]
fn the_rest_of_the_workspace_stays_here() {
    let members = metadata()["workspace_members"].as_array().unwrap();
    let packages = metadata()["packages"].as_array().unwrap();
    let shipped = shipped();
    let mut kept = 0;
    for package in packages.iter().filter(|package| members.contains(&package["id"])) {
        if shipped.iter().all(|(other, _)| other["id"] != package["id"]) {
            assert_eq!(package["publish"], serde_json::json!([]), "{}", package["name"]);
            kept += 1;
        }
    }
    assert_eq!(kept + shipped.len(), members.len());
    assert!(kept >= 3, "{kept}");
}

/// A packaged crate finds its sisters by version; `path` alone would make it unpublishable.
#[test]
fn the_crates_know_each_other_by_the_version_they_have() {
    let mut seen = 0;
    for (package, _) in shipped() {
        for dependency in package["dependencies"].as_array().unwrap() {
            let ours = dependency["path"].is_string() && dependency["kind"].is_null();
            if ours {
                let required = format!("^{}", package["version"].as_str().unwrap());
                assert_eq!(dependency["req"], required.as_str(), "{}", package["name"]);
                seen += 1;
            }
        }
    }
    assert!(seen >= 5, "{seen}");
}

/// Who depends on a crate is packaged after it, and so cannot be what its package tests itself with.
#[test]
fn no_crate_is_packaged_before_itself() {
    let shipped = shipped();
    let depends = |package: &Value, on: &Value, kind: Value| {
        let dependencies = package["dependencies"].as_array().unwrap();
        dependencies
            .iter()
            .any(|other| other["name"] == on["name"] && other["kind"] == kind && other["req"] != "*")
    };
    for (one, _) in &shipped {
        for (other, _) in &shipped {
            let circle = depends(one, other, "dev".into()) && depends(other, one, Value::Null);
            assert!(!circle, "{} and {}", one["name"], other["name"]);
        }
    }
}

#[test]
fn no_dependency_that_is_locked_needs_a_newer_compiler_than_we_say() {
    let (first, _) = shipped()[0];
    let ours = numbers(first["rust_version"].as_str().unwrap());
    let mut said = 0;
    for package in metadata()["packages"].as_array().unwrap() {
        if let Some(theirs) = package["rust_version"].as_str() {
            assert!(numbers(theirs) <= ours, "{} needs Rust {theirs}", package["name"]);
            said += 1;
        }
    }
    assert!(said > 50, "{said}");
}

/// `1.88.0` as numbers that can be compared.
fn numbers(version: &str) -> (u32, u32, u32) {
    let mut numbers = version.split('.').map(|number| number.parse().unwrap());
    let mut next = || numbers.next().unwrap_or(0);
    (next(), next(), next())
}

#[test]
fn a_release_is_named_in_the_changes() {
    let (first, _) = shipped()[0];
    let version = first["version"].as_str().unwrap();
    let changes = std::fs::read_to_string(workspace().join("CHANGELOG.md")).unwrap();
    let newest = changes.lines().find(|line| line.starts_with("## ")).unwrap();
    assert!(newest.contains(version), "{newest}");
}
