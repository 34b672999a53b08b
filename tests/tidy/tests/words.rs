//! Words that are not used, and words that must stand beside others.

use tidy::{SourceFile, assert_none, files};

/// Unfinished work, and names that the vocabulary replaces. Written in pieces, so that this file does not offend itself.
const BANNED: &[(&str, &str, &str)] = &[
    ("TO", "DO", "finish it, or say in an issue what is missing"),
    ("FIX", "ME", "fix it"),
    ("XX", "X", "say what is meant"),
    ("HA", "CK", "do it properly, or say which device needs it"),
    (
        "terminal",
        "_id",
        "bank terminal id, PSAM terminal number or device name",
    ),
    ("trans", "action_id", "an operation id or a reference"),
    ("for ", "now,", "say what holds"),
    ("place", "holder", "finish it"),
    ("/wo", "rk/", "no path of somebody's machine"),
];

fn offences(file: &SourceFile) -> impl Iterator<Item = String> + '_ {
    file.text.lines().enumerate().flat_map(move |(index, line)| {
        BANNED.iter().filter_map(move |(first, second, instead)| {
            let word = format!("{first}{second}");
            line.contains(&word)
                .then(|| format!("{}:{}: \"{word}\": {instead}", file.path, index + 1))
        })
    })
}

#[test]
fn banned_words_are_absent() {
    let files = files(&[
        ".rs", ".c", ".h", ".py", ".sh", ".toml", ".md", ".varlink", ".xml",
    ]);
    let found: Vec<_> = files.iter().flat_map(offences).collect();
    assert_none("a banned word is used", &found);
}

#[test]
fn an_ignored_test_names_its_issue() {
    let files = files(&[".rs"]);
    let found = files.iter().flat_map(|file| {
        let ignored = file
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| line.trim_start().starts_with("#[ignore"));
        let unnamed = ignored.filter(|(_, line)| !line.contains("issue "));
        unnamed.map(|(index, _)| format!("{}:{}", file.path, index + 1))
    });
    assert_none("an ignored test names no issue", &found.collect::<Vec<_>>());
}
