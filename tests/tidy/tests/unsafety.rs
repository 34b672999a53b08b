//! Where `unsafe` may stand (house style 27).

use tidy::{assert_none, files};

/// Folders that may hold `unsafe`.
const HOMES: &[&str] = &["plugin-api/", "daemon/purser-driver-host/", "plugins/"];

/// How many lines above an `unsafe` block may hold its SAFETY comment.
const SAFETY_ABOVE: usize = 6;

fn is_unsafe(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let mut words = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
    words.any(|word| word == "unsafe") && !code.contains('"')
}

#[test]
fn unsafe_stays_at_home() {
    let found = files(&[".rs"])
        .into_iter()
        .filter(|file| !HOMES.iter().any(|home| file.path.starts_with(home)));
    let found = found.flat_map(|file| {
        let lines: Vec<_> = file
            .text
            .lines()
            .enumerate()
            .filter(|(_, line)| is_unsafe(line))
            .collect();
        lines
            .into_iter()
            .map(|(index, _)| format!("{}:{}", file.path, index + 1))
            .collect::<Vec<_>>()
    });
    assert_none("unsafe outside its home", &found.collect::<Vec<_>>());
}

#[test]
fn each_unsafe_block_says_why_it_is_safe() {
    let mut offences = Vec::new();
    for file in files(&[".rs"]) {
        let lines: Vec<_> = file.text.lines().collect();
        for (index, line) in lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.contains("unsafe {") && is_unsafe(line))
        {
            let above = &lines[index.saturating_sub(SAFETY_ABOVE)..=index];
            if !above.iter().any(|line| line.contains("SAFETY")) {
                offences.push(format!("{}:{}: {}", file.path, index + 1, line.trim()));
            }
        }
    }
    assert_none("an unsafe block without SAFETY", &offences);
}
