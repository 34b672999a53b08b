//! A till in a process of its own, to be killed: begins a sale and tells each outcome that it hears.
//!
//! `till SOCKET PURSERD_PROCESS_ID REFERENCE PRICE`

use std::io::Write;
use std::path::Path;

use e2e::Fault;
use e2e::pos::Pos;

fn main() -> Result<(), Fault> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [socket, purserd, reference, price] = words.as_slice() else {
        return Err("usage: till SOCKET PURSERD_PROCESS_ID REFERENCE PRICE".into());
    };
    let mut pos = Pos::connect(Path::new(socket), purserd.parse()?)?;
    let told = pos.begin(reference, price.parse()?)?;
    pos.follow(reference, told, |sale| {
        // A line that does not leave was not told: whoever reads has to be there.
        let mut out = std::io::stdout();
        writeln!(out, "{}", sale.outcome)
            .and_then(|()| out.flush())
            .expect("somebody listens");
        sale.outcome != "under_way"
    })?;
    Ok(())
}
