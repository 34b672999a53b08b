//! Completion scripts. What clap makes knows verbs and options; names of readers and references of sales are asked for when
//! they are completed, from the running daemon.

use clap::CommandFactory;
use clap_complete::Shell;
use purser_api::client::Client;
use purser_api::model::JournalArguments;

use crate::cli::{Cli, Words};
use crate::exit::Failure;

/// How many of the newest entries the completed references are taken from: what somebody types is of today.
const ENTRIES_LOOKED_AT: u64 = 200;

/// Behind clap's function for bash: values of ours, or else what clap says.
const BASH: &str = r#"
_purserctl_words() {
    local cur="${COMP_WORDS[COMP_CWORD]}" prev="${COMP_WORDS[COMP_CWORD-1]}" kind=""
    case "$prev" in
        attach|cancel|conclude|where|--reference) kind=references ;;
        --reader) kind=readers ;;
    esac
    if [[ -n "$kind" && "$cur" != -* ]]; then
        COMPREPLY=( $(compgen -W "$("${COMP_WORDS[0]}" words "$kind" 2>/dev/null)" -- "$cur") )
    else
        _purserctl "$@"
    fi
}
complete -F _purserctl_words -o bashdefault -o default purserctl
"#;

const ZSH: &str = r#"
_purserctl_references() { compadd -- ${(f)"$(purserctl words references 2>/dev/null)"} }
_purserctl_readers() { compadd -- ${(f)"$(purserctl words readers 2>/dev/null)"} }
"#;

const FISH: &str = r#"
complete -c purserctl -n "__fish_seen_subcommand_from attach cancel conclude where" -f -a "(purserctl words references 2>/dev/null)"
complete -c purserctl -l reference -x -a "(purserctl words references 2>/dev/null)"
complete -c purserctl -l reader -x -a "(purserctl words readers 2>/dev/null)"
"#;

/// Prints the script for a shell.
pub(super) fn print(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "purserctl", &mut script);
    let script = String::from_utf8_lossy(&script);
    match shell {
        Shell::Bash => println!("{script}{BASH}"),
        Shell::Fish => println!("{script}{FISH}"),
        Shell::Zsh => println!("{}", with_zsh_words(&script)),
        _ => println!("{script}"),
    }
}

/// The words of ours stand before clap's last lines, which register its function or call it.
fn with_zsh_words(script: &str) -> String {
    let script = script
        .replace(":REFERENCE:_default", ":REFERENCE:_purserctl_references")
        .replace("reference:_default", "reference:_purserctl_references")
        .replace(":READER:_default", ":READER:_purserctl_readers");
    match script.rfind("\nif [ ") {
        Some(end) => format!("{}{ZSH}{}", &script[..end], &script[end..]),
        None => format!("{script}{ZSH}"),
    }
}

/// Prints what may be typed, one a line.
pub(super) async fn words(mut client: Client, kind: Words) -> Result<(), Failure> {
    let mut words = match kind {
        Words::Readers => {
            let devices = client.devices().await?.devices;
            let readers = devices.into_iter().filter(|device| device.card_reader);
            readers.map(|device| device.name).collect()
        }
        Words::References => newest_references(&mut client).await?,
    };
    words.sort_unstable();
    words.dedup();
    for word in words {
        println!("{word}");
    }
    Ok(())
}

async fn newest_references(client: &mut Client) -> Result<Vec<String>, Failure> {
    let head = client.head().await?.head;
    let newest = head
        .split(':')
        .next()
        .and_then(|number| number.parse::<u64>().ok());
    let page = JournalArguments {
        after: newest.map(|number| number.saturating_sub(ENTRIES_LOOKED_AT)),
        ..JournalArguments::default()
    };
    let entries = client.journal(&page).await?.entries;
    let references = entries.into_iter().map(|entry| entry.reference);
    // A settlement has none.
    Ok(references.filter(|reference| !reference.is_empty()).collect())
}
