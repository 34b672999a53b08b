//! A journal with a sale and a batch of each kind, and copies of it that are spoilt.

use std::fs;
use std::path::Path;

use purser_journal::{Journal, VerifyError, verify};
use purser_ledger::{Conclusion, Head};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::common::batch::{exchanged, held_back, keep_all, sealed, sell, voided};
use crate::common::{Sale, fast_folder, open, store, yen};

/// The files that a closed journal has.
const FILES: [&str; 3] = ["journal.db", "chain.key", "journal.head"];

/// How corruption is planted.
#[derive(Clone, Copy)]
pub(crate) enum Plant {
    /// By statements, behind the guards' back. They must change something.
    Sql(&'static str),
    /// By a change of the tables themselves.
    Schema(&'static str),
    /// By a change of a file, which gets the file's bytes; none takes the file away.
    File(&'static str, fn(Vec<u8>) -> Option<Vec<u8>>),
    /// By the data base as it was when it had 17 entries.
    Earlier,
}

/// A closed journal, and a folder to spoil copies in.
pub(crate) struct Original {
    files: Vec<Vec<u8>>,
    earlier: Vec<u8>,
    copy: TempDir,
}

impl Original {
    /// Entries: three sales 1-6, their batch 7, exchanged 8; two sales 9-12, their batch 13, voided 14; a sale 15-16; the batch
    /// of the last three 17, under way; a sale in doubt 18-19; one that was not debited 20-21; one that ended before 22; one in
    /// question 23-25; one that is paid and then abandoned 26-29; one whose debit is intended 30.
    pub(crate) fn make() -> Self {
        let folder = fast_folder();
        let mut journal = open(&folder);
        sell(&mut journal, 0..3);
        store(&mut journal, sealed(1, (0, 6), 3));
        keep_all(&mut journal, 1, 3);
        store(&mut journal, exchanged(1, 3));
        sell(&mut journal, 3..5);
        store(&mut journal, sealed(2, (6, 12), 2));
        store(&mut journal, voided(2, 2));
        sell(&mut journal, 5..6);
        store(&mut journal, sealed(3, (6, 16), 3));
        journal.maintain().expect("the journal works");
        let earlier = fs::read(folder.path().join(FILES[0])).expect("readable");
        let [doubtful, untouched, closed, queried, abandoned, intended] =
            [20, 21, 22, 23, 24, 25].map(Sale::new);
        store(&mut journal, doubtful.intended());
        store(&mut journal, doubtful.in_doubt(1));
        store(&mut journal, untouched.intended());
        store(&mut journal, untouched.voided(1));
        store(&mut journal, closed.closed());
        store(&mut journal, queried.intended());
        store(&mut journal, queried.in_doubt(1));
        store(&mut journal, queried.queried(2));
        store(&mut journal, abandoned.intended());
        store(&mut journal, abandoned.in_doubt(1));
        store(&mut journal, abandoned.paid(2, false));
        store(
            &mut journal,
            abandoned.concluded(3, Conclusion::Abandoned, Some(yen(300))),
        );
        let last = store(&mut journal, intended.intended());
        assert_eq!(last.number, 30);
        Self::of(journal, &folder, earlier, last)
    }

    /// Entries: two sales 1-4, their batch 5, exchanged 6, the second claim held back; presented again 7; its batch 8, under way.
    pub(crate) fn make_presented_again() -> Self {
        let folder = fast_folder();
        let mut journal = open(&folder);
        sell(&mut journal, 0..2);
        store(&mut journal, sealed(1, (0, 4), 2));
        keep_all(&mut journal, 1, 2);
        store(&mut journal, held_back(1, 2));
        store(&mut journal, Sale::new(1).presented_again(2));
        journal.maintain().expect("the journal works");
        let earlier = fs::read(folder.path().join(FILES[0])).expect("readable");
        let last = store(&mut journal, sealed(2, (4, 7), 1));
        assert_eq!(last.number, 8);
        Self::of(journal, &folder, earlier, last)
    }

    fn of(mut journal: Journal, folder: &TempDir, earlier: Vec<u8>, last: Head) -> Self {
        journal.maintain().expect("the journal works");
        drop(journal);
        let read = |name: &&str| fs::read(folder.path().join(name)).expect("readable");
        let original = Self {
            files: FILES.iter().map(read).collect(),
            earlier,
            copy: fast_folder(),
        };
        original.restore();
        verify(original.path(), Some(last), |_, _| {}).expect("the copy is whole");
        original
    }

    fn path(&self) -> &Path {
        self.copy.path()
    }

    fn restore(&self) {
        for companion in ["journal.db-wal", "journal.db-shm"] {
            let _ = fs::remove_file(self.path().join(companion));
        }
        for (name, bytes) in FILES.iter().zip(&self.files) {
            fs::write(self.path().join(name), bytes).expect("written");
        }
    }

    /// What the check says of a fresh copy with this in it.
    pub(crate) fn planted(&self, plant: &Plant) -> String {
        self.restore();
        match plant {
            Plant::Sql(sql) => self.spoil(sql),
            Plant::Schema(sql) => self.sql().execute_batch(sql).expect(sql),
            Plant::Earlier => fs::write(self.path().join(FILES[0]), &self.earlier).expect("written"),
            Plant::File(name, change) => {
                let path = self.path().join(name);
                let bytes = fs::read(&path).expect("readable");
                match change(bytes) {
                    Some(bytes) => fs::write(&path, bytes).expect("written"),
                    None => fs::remove_file(&path).expect("it goes"),
                }
            }
        }
        match verify(self.path(), None, |_, _| {}) {
            Ok(_) => "nothing is found".to_owned(),
            Err(VerifyError::Found(finding)) => format!("{finding:?}"),
            Err(VerifyError::Open(error)) => format!("{error:?}"),
            Err(VerifyError::Read(error)) => format!("{error:?}"),
        }
    }

    fn sql(&self) -> Connection {
        let conn = Connection::open(self.path().join("journal.db")).expect("it opens");
        conn.execute_batch(
            "PRAGMA synchronous = OFF; PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON",
        )
        .expect("set");
        conn
    }

    /// Takes the guards away for these statements.
    fn spoil(&self, sql: &str) {
        let conn = self.sql();
        let guards: Vec<(String, String)> = conn
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'")
            .and_then(|mut guards| {
                guards
                    .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
                    .collect()
            })
            .expect("readable");
        conn.execute_batch("BEGIN").expect("begun");
        for (name, _) in &guards {
            conn.execute_batch(&format!("DROP TRIGGER {name}"))
                .expect("the guard goes");
        }
        let before = conn.total_changes();
        conn.execute_batch(sql).expect(sql);
        assert!(conn.total_changes() > before, "{sql} changes nothing");
        for (_, guard) in &guards {
            conn.execute_batch(guard).expect("the guard returns");
        }
        conn.execute_batch("COMMIT").expect("stored");
    }
}
