//! Who may know whom (design, "Parts").

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, Package, PackageId};
use tidy::{assert_none, metadata};

/// Which of our packages each of our packages may use in its product code. A package that is missing here fails.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("purser-ledger", &[]),
    ("purser-purse", &["purser-ledger"]),
    (
        "purser-engine",
        &["purser-ledger", "purser-provider-link", "purser-purse"],
    ),
    ("purser-journal", &["purser-ledger"]),
    ("purser-provider-link", &["purser-ledger"]),
    (
        "purser-provider-rules",
        &["purser-ledger", "purser-provider-link"],
    ),
    ("purser-driver-wire", &[]),
    ("purser-driver-recording", &["purser-driver-wire"]),
    (
        "purser-driver-supervisor",
        &[
            "purser-driver-recording",
            "purser-driver-wire",
            "purser-plugin-api",
        ],
    ),
    ("purser-api", &["purser-engine", "purser-ledger", "purser-purse"]),
    ("purser-plugin-api", &[]),
    ("purser-driver-host", &["purser-driver-wire", "purser-plugin-api"]),
    // It loads drivers through the driver host alone.
    ("purser-driver-check", &["purser-driver-wire"]),
    (
        "purserd",
        &[
            "purser-api",
            "purser-driver-supervisor",
            "purser-driver-wire",
            "purser-engine",
            "purser-journal",
            "purser-ledger",
            "purser-provider-link",
            "purser-purse",
        ],
    ),
    ("purserctl", &["purser-api"]),
    (
        "purser-provider",
        &[
            "purser-ledger",
            "purser-provider-link",
            "purser-provider-rules",
            // What evidence is made of. The cryptography of the issuer is its own.
            "purser-purse",
        ],
    ),
    ("purser-virtual-reader", &["purser-plugin-api"]),
    ("purser-pcsc", &["purser-plugin-api"]),
    (
        "purser-replay",
        &[
            "purser-driver-recording",
            "purser-driver-wire",
            "purser-plugin-api",
        ],
    ),
];

/// Packages of `tests/`: they may use anything of ours, and nothing but each other uses them.
const TESTS: &[&str] = &["conformance", "e2e", "purser-lab", "sim", "tidy"];

/// Foreign packages that only these packages of ours may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    ("rusqlite", &["purser-journal", "purser-provider"]),
    ("zbus", &["purser-api"]),
    ("zlink", &["purser-api", "purserctl"]),
    ("libloading", &["purser-driver-host"]),
    ("rustls", &["purserd", "purser-provider"]),
];

/// Packages without IO, clock, randomness or `unsafe`, and what may be nowhere below them.
const PURE: &[&str] = &[
    "purser-ledger",
    "purser-purse",
    "purser-engine",
    "purser-driver-recording",
    "purser-driver-wire",
    "purser-provider-link",
    "purser-provider-rules",
];
const IMPURE: &[&str] = &[
    "tokio",
    "zbus",
    "zlink",
    "rustls",
    "rusqlite",
    "libloading",
    "getrandom",
    "rand",
    "mio",
    "socket2",
    "tracing",
];

fn ours(metadata: &Metadata) -> BTreeMap<String, &Package> {
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.to_string(), package))
        .collect()
}

fn normal_dependencies(package: &Package) -> BTreeSet<String> {
    let product = package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development);
    product.map(|dependency| dependency.name.clone()).collect()
}

#[test]
fn each_package_knows_only_whom_it_may_know() {
    let metadata = metadata();
    let ours = ours(&metadata);
    let mut offences = Vec::new();
    for (name, package) in &ours {
        if TESTS.contains(&name.as_str()) {
            continue;
        }
        let Some((_, allowed)) = MAY_KNOW.iter().find(|(known, _)| known == name) else {
            offences.push(format!(
                "{name} is not in the table of tests/tidy/tests/layers.rs"
            ));
            continue;
        };
        let known = normal_dependencies(package)
            .into_iter()
            .filter(|dependency| ours.contains_key(dependency));
        let forbidden = known.filter(|dependency| !allowed.contains(&dependency.as_str()));
        offences.extend(forbidden.map(|dependency| format!("{name} must not know {dependency}")));
    }
    assert_none("a package knows more than the design allows", &offences);
}

#[test]
fn product_code_does_not_depend_on_tests() {
    let metadata = metadata();
    let mut offences = Vec::new();
    for (name, package) in ours(&metadata) {
        let is_test = TESTS.contains(&name.as_str());
        let known = normal_dependencies(package)
            .into_iter()
            .filter(|it| TESTS.contains(&it.as_str()) && !is_test);
        offences.extend(known.map(|dependency| format!("{name} depends on {dependency}")));
    }
    assert_none("product code depends on tests", &offences);
}

#[test]
fn foreign_packages_stay_where_they_belong() {
    let metadata = metadata();
    let mut offences = Vec::new();
    for (name, package) in ours(&metadata) {
        if TESTS.contains(&name.as_str()) {
            continue;
        }
        for (foreign, homes) in ONLY_IN {
            if normal_dependencies(package).contains(*foreign) && !homes.contains(&name.as_str()) {
                offences.push(format!("{name} uses {foreign}, which belongs to {homes:?}"));
            }
        }
    }
    assert_none("a foreign package is used outside its home", &offences);
}

#[test]
fn pure_packages_have_nothing_impure_below_them() {
    let metadata = metadata();
    let resolve = metadata.resolve.as_ref().expect("cargo resolves the workspace");
    let nodes: BTreeMap<&PackageId, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let ours = ours(&metadata);
    let mut offences = Vec::new();
    for pure in PURE {
        let package = ours.get(*pure).expect("a pure package exists");
        let mut seen = BTreeSet::new();
        let mut next = vec![&package.id];
        while let Some(id) = next.pop() {
            if !seen.insert(id) {
                continue;
            }
            let used = nodes[id].deps.iter().filter(|dependency| {
                dependency
                    .dep_kinds
                    .iter()
                    .any(|kind| kind.kind == DependencyKind::Normal)
            });
            next.extend(used.map(|dependency| &dependency.pkg));
        }
        let names = seen.iter().map(|id| metadata[id].name.to_string());
        let impure = names.filter(|name| IMPURE.contains(&name.as_str()));
        offences.extend(impure.map(|name| format!("{pure} has {name} below it")));
    }
    assert_none("a pure package is not pure", &offences);
}
