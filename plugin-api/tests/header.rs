//! The C header and its Rust mirror are one contract: the header compiles as C and C++, and a C compiler finds every
//! struct, offset and value where Rust has them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a helper of a test fails the test"
)]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use purser_plugin_api::abi::{LAYOUT, limits, result, values};

fn include() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("include")
}

fn compile(compiler: &str, standard: &str, language: &str, source: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("unit");
    std::fs::write(&file, source).unwrap();
    let output = Command::new(compiler)
        .args([
            standard,
            "-Wall",
            "-Wextra",
            "-Werror",
            "-pedantic",
            "-fsyntax-only",
            "-x",
            language,
            "-I",
        ])
        .arg(include())
        .arg(&file)
        .output()
        .expect("a compiler");
    assert!(
        output.status.success(),
        "{compiler} {standard}:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn layout_asserts() -> String {
    let mut source = String::from("#include <stddef.h>\n#include <purser/driver.h>\n");
    for found in LAYOUT {
        let (name, size) = (found.name, found.size);
        writeln!(
            source,
            "_Static_assert(sizeof(struct {name}) == {size}, \"{name}\");"
        )
        .unwrap();
        for field in found.fields {
            let (field, offset) = (field.name, field.offset);
            writeln!(
                source,
                "_Static_assert(offsetof(struct {name}, {field}) == {offset}, \"{name}.{field}\");"
            )
            .unwrap();
        }
    }
    source
}

/// Every `#define PURSER_… number` of the header, by the mirror's value.
fn mirrored() -> Vec<(&'static str, i64)> {
    let size = |bytes: usize| i64::try_from(bytes).unwrap();
    vec![
        ("ABI_MAJOR", values::ABI_MAJOR.into()),
        ("ABI_MINOR", values::ABI_MINOR.into()),
        ("ATR_MAX", size(limits::ATR_MAX_BYTES)),
        ("COMMAND_MAX", size(limits::COMMAND_MAX_BYTES)),
        ("RESPONSE_MAX", size(limits::RESPONSE_MAX_BYTES)),
        ("PIN_MAX", size(limits::PIN_MAX_DIGITS)),
        ("PIN_BLOCK_MAX", size(limits::PIN_BLOCK_MAX_BYTES)),
        ("DETAIL_MAX", size(limits::DETAIL_MAX_BYTES)),
        ("LOG_MAX", size(limits::LOG_MAX_BYTES)),
        ("NAME_MAX", size(limits::NAME_MAX_BYTES)),
        ("SETTINGS_MAX", size(limits::SETTINGS_MAX_BYTES)),
        ("SLOTS_MAX", size(limits::SLOTS_MAX)),
        ("OK", result::OK.into()),
        ("NO_CARD", result::NO_CARD.into()),
        ("CARD_CHANGED", result::CARD_CHANGED.into()),
        ("CARD_MUTE", result::CARD_MUTE.into()),
        ("CANCELLED", result::CANCELLED.into()),
        ("BUSY", result::BUSY.into()),
        ("DEVICE_GONE", result::DEVICE_GONE.into()),
        ("TIMEOUT", result::TIMEOUT.into()),
        ("OUTCOME_UNKNOWN", result::OUTCOME_UNKNOWN.into()),
        ("BAD_ARGUMENT", result::BAD_ARGUMENT.into()),
        ("UNSUPPORTED", result::UNSUPPORTED.into()),
        ("INTERNAL", result::INTERNAL.into()),
        ("DEVICE_ARRIVED", values::EVENT_DEVICE_ARRIVED.into()),
        ("DEVICE_LEFT", values::EVENT_DEVICE_LEFT.into()),
        ("CARD_INSERTED", values::EVENT_CARD_INSERTED.into()),
        ("CARD_REMOVED", values::EVENT_CARD_REMOVED.into()),
        ("PIN_DIGITS", values::EVENT_PIN_DIGITS.into()),
        ("CLASS_CARD_READER", values::CLASS_CARD_READER.into()),
        ("CLASS_PIN_PAD", values::CLASS_PIN_PAD.into()),
        ("INTERFACE_CONTACT", values::INTERFACE_CONTACT.into()),
        ("INTERFACE_CONTACTLESS", values::INTERFACE_CONTACTLESS.into()),
        ("LOG_ERROR", values::LOG_ERROR.into()),
        ("LOG_WARN", values::LOG_WARN.into()),
        ("LOG_INFO", values::LOG_INFO.into()),
        ("LOG_DEBUG", values::LOG_DEBUG.into()),
        ("PROTOCOL_T0", values::PROTOCOL_T0.into()),
        ("PROTOCOL_T1", values::PROTOCOL_T1.into()),
        ("PROTOCOL_TCL", values::PROTOCOL_TCL.into()),
        ("PIN_FORMAT_DIGITS", values::PIN_FORMAT_DIGITS.into()),
        ("PIN_FORMAT_BLOCK", values::PIN_FORMAT_BLOCK.into()),
        ("TRIES_UNKNOWN", values::TRIES_UNKNOWN.into()),
    ]
}

#[test]
fn the_header_compiles_as_c11_and_as_cxx() {
    let source = "#include <purser/driver.h>\n";
    compile("cc", "-std=c11", "c", source);
    compile("cc", "-std=c99", "c", source);
    compile("c++", "-std=c++11", "c++", source);
    compile("c++", "-std=c++20", "c++", source);
}

#[test]
fn c_and_rust_agree_on_every_size_and_offset() {
    compile("cc", "-std=c11", "c", &layout_asserts());
}

#[test]
fn c_and_rust_agree_on_every_value() {
    let mut source = String::from("#include <purser/driver.h>\n");
    for (name, value) in mirrored() {
        writeln!(
            source,
            "_Static_assert((int64_t)PURSER_{name} == INT64_C({value}), \"{name}\");"
        )
        .unwrap();
    }
    for (name, id) in [
        ("CARD_READER_1", values::CARD_READER_1),
        ("PIN_PAD_1", values::PIN_PAD_1),
    ] {
        writeln!(
            source,
            "_Static_assert(sizeof PURSER_{name} == {}, \"{name}\");",
            id.len() + 1
        )
        .unwrap();
        let header = std::fs::read_to_string(include().join("purser/driver.h")).unwrap();
        assert!(header.contains(&format!("#define PURSER_{name} \"{id}\"")));
    }
    compile("cc", "-std=c11", "c", &source);
}

#[test]
fn the_mirror_has_every_struct_field_and_value_of_the_header() {
    let header = std::fs::read_to_string(include().join("purser/driver.h")).unwrap();
    let structs = header
        .lines()
        .filter_map(|line| line.strip_prefix("struct purser_")?.strip_suffix(" {"));
    let structs: Vec<_> = structs.map(|name| format!("purser_{name}")).collect();
    let mirror: Vec<_> = LAYOUT.iter().map(|found| found.name).collect();
    assert_eq!(structs.len(), mirror.len());
    assert!(
        structs.iter().all(|name| mirror.contains(&name.as_str())),
        "{structs:?}"
    );

    let known: Vec<_> = mirrored().into_iter().map(|(name, _)| name).collect();
    let defined = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define PURSER_")?.split_once(' '));
    for (name, value) in defined {
        if !value.trim_start().starts_with('"') {
            assert!(known.contains(&name), "PURSER_{name} has no mirror");
        }
    }
}

#[test]
fn the_c_example_of_the_readme_compiles() {
    let readme = include_str!("../README.md");
    let (_, after) = readme.split_once("```c\n").unwrap();
    let (example, _) = after.split_once("```").unwrap();
    compile("cc", "-std=c11", "c", example);
}
