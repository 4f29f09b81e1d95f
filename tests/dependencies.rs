//! Which crate may use which. See "Shape" in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// 151, four of which came with the layer that gathers what handlers log: `tracing-subscriber`, which a program that shows logs has anyway,
/// and what it needs. Each one more is build time and trust asked of every user, so going past this is a decision and not an accident.
const MOST_CRATES_OF_A_WORKER: usize = 152;

#[test]
fn our_crates_depend_on_each_other_one_way() {
    let expected = BTreeMap::from([
        ("haulage-queue", BTreeSet::new()),
        ("haulage-worker", BTreeSet::from(["haulage-queue"])),
        ("haulage-dashboard", BTreeSet::from(["haulage-queue"])),
        ("haulage", BTreeSet::from(["haulage-queue", "haulage-worker", "haulage-dashboard"])),
    ]);

    // Without `--no-deps` this would download the crates of every platform.
    let metadata = cargo(&["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: serde_json::Value = serde_json::from_str(&metadata).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(name).collect();
    let found: BTreeMap<&str, BTreeSet<&str>> = packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().unwrap();
            let uses = uses.iter().map(name).filter(|name| ours.contains(name));
            (name(package), uses.collect())
        })
        .collect();

    assert_eq!(found, expected);
}

#[test]
fn a_worker_does_not_pull_in_more_crates_than_we_allow() {
    let tree = cargo(&["tree", "--edges", "normal", "--package", "haulage-worker", "--prefix", "none", "--format", "{p}"]);
    // A crate that stands in the tree again is marked with a star.
    let crates: BTreeSet<&str> = tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();

    assert!(crates.len() > 20, "this cannot be the whole tree: {tree}");
    assert!(crates.len() <= MOST_CRATES_OF_A_WORKER, "{} crates: {crates:#?}", crates.len());
}

#[test]
fn the_client_and_the_worker_have_no_opentelemetry_unless_it_is_asked_for() {
    for (package, features, expected) in
        [("haulage-queue", "", false), ("haulage-worker", "", false), ("haulage-queue", "otel", true), ("haulage-worker", "otel", true)]
    {
        let tree = cargo(&["tree", "--edges", "normal", "--package", package, "--features", features, "--prefix", "none"]);
        assert_eq!(tree.contains("opentelemetry"), expected, "{package} with \"{features}\"");
        // Exporters and their servers are the facade's.
        assert!(!tree.contains("opentelemetry_sdk") && !tree.contains("tonic"), "{package} with \"{features}\"");
    }
}

#[test]
fn telemetry_needs_no_c_library() {
    let tree = cargo(&["tree", "--edges", "normal", "--package", "haulage", "--features", "telemetry", "--prefix", "none"]);
    assert!(tree.contains("opentelemetry-otlp"), "this cannot be the whole tree: {tree}");
    for library in ["aws-lc", "openssl-sys", "native-tls", "zstd-sys"] {
        assert!(!tree.contains(library), "{library} is in the tree");
    }
}

fn name(value: &serde_json::Value) -> &str {
    value["name"].as_str().expect("everything here has a name")
}

fn cargo(args: &[&str]) -> String {
    let output =
        Command::new(env!("CARGO")).args(args).arg("--offline").current_dir(env!("CARGO_MANIFEST_DIR")).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo writes UTF-8")
}
