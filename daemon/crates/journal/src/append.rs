//! A group of commits: one SQL transaction, one sync.

use purser_ledger::{AnyOperation, Commit, Entry, Existing, Head, OperationId, Refused, admit};
use rusqlite::{Connection, TransactionBehavior};

use crate::chain::ChainKey;
use crate::memory::{Memory, Staged, check_whole, count};
use crate::room::{COMMITS_TO_END_MAX, commits_to_end};
use crate::{Journal, ReadError, batches, rows};

/// Frames that make a checkpoint worth its syncs when room is short: an eighth of the WAL's least length.
const WORTHWHILE_FRAMES: u64 = crate::WAL_FRAMES_MIN / 8;

type Answers = Vec<Result<Head, Refused>>;

pub(crate) fn append(journal: &mut Journal, group: &[Commit]) -> Result<Answers, ReadError> {
    let is_reserve_free = make_room(journal, group)?;
    let Journal {
        conn,
        key,
        memory,
        room,
        head_file,
        ..
    } = journal;
    let sql = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut staged = Staged::new(memory);
    let mut answers = Vec::with_capacity(group.len());
    for commit in group {
        let to_end = staged.to_end.saturating_add(COMMITS_TO_END_MAX);
        let has_room = is_reserve_free && room.fits(staged.commits.saturating_add(1), to_end);
        answers.push(
            Step {
                conn: &sql,
                key,
                memory,
            }
            .take(&mut staged, commit, has_room)?,
        );
    }
    if staged.commits == 0 {
        sql.rollback()?;
        return Ok(answers);
    }
    staged.totals.store(&memory.totals, &sql)?;
    sql.commit()?;
    memory.absorb(staged);
    head_file.note(key, memory.head);
    Ok(answers)
}

/// Tries to have room for all of the group; says whether the disk has its reserve free.
fn make_room(journal: &mut Journal, group: &[Commit]) -> Result<bool, ReadError> {
    let openings = group
        .iter()
        .filter(|commit| commit.entry.needs_free_room())
        .count();
    if openings == 0 {
        return Ok(true);
    }
    let commits = count(group.len());
    let to_end = journal
        .memory
        .commits_to_end()
        .saturating_add(count(openings).saturating_mul(COMMITS_TO_END_MAX));
    if !journal.room.fits(commits, to_end) && journal.room.used() >= WORTHWHILE_FRAMES {
        journal.restart_wal()?;
    }
    journal.room.extend(commits, to_end)?;
    Ok(journal.room.is_reserve_free()?)
}

/// One commit of a group.
struct Step<'a> {
    conn: &'a Connection,
    key: &'a ChainKey,
    memory: &'a Memory,
}

impl Step<'_> {
    fn take(
        &self,
        staged: &mut Staged,
        commit: &Commit,
        has_room: bool,
    ) -> Result<Result<Head, Refused>, ReadError> {
        let content = commit.content().encode();
        let number = staged.head.number.saturating_add(1);
        let head = Head {
            number,
            digest: self.key.digest(number, &staged.head.digest, &content),
        };
        let before = match self.operation(staged, commit) {
            // A load's number is the provider's, and a claim that is presented again may be years old: whoever asks for one that is
            // damaged must not end the process.
            Err(error)
                if error.is_damage()
                    && matches!(commit.entry, Entry::LoadBegun(_) | Entry::SalePresentedAgain(_)) =>
            {
                return Ok(Err(Refused::OutOfOrder));
            }
            before => before?,
        };
        let admitted = {
            let by_reference = match commit.entry.opens() {
                Some((reference, _)) => rows::operation_by_reference(self.conn, reference, Some(self.key))?,
                None => None,
            };
            if let Some(found) = &by_reference {
                check_whole(self.known(staged, found.id()).map(|it| it.head()), found)?;
            }
            let existing = Existing {
                operation: before.as_ref(),
                by_reference: by_reference.as_ref(),
                batches: &staged.batches,
                debit_key_is_taken: self.is_debit_key_taken(&commit.entry)?,
                has_room,
            };
            admit(commit, head, existing, staged.totals.books())
        };
        let (after, books) = match admitted {
            Ok(admitted) => admitted,
            Err(refused) => return Ok(Err(refused)),
        };
        self.write(before.as_ref(), &after, head, &content)?;
        batches::insert_settleable(self.conn, head.number, &commit.entry)?;
        staged.to_end = staged
            .to_end
            .saturating_sub(before.as_ref().map_or(0, commits_to_end))
            .saturating_add(commits_to_end(&after));
        staged.totals = staged.totals.after(&commit.entry, books);
        staged.head = head;
        staged.commits = staged.commits.saturating_add(1);
        if let Some(settlement) = after.settlement() {
            staged.batches.take(settlement);
        }
        staged.changed.insert(after.id(), after);
        Ok(Ok(head))
    }

    fn operation(&self, staged: &Staged, commit: &Commit) -> Result<Option<AnyOperation>, ReadError> {
        let id = commit.operation;
        if let Some(operation) = self.known(staged, id) {
            return Ok(Some(operation));
        }
        let found = rows::operation(self.conn, id.bytes(), Some(self.key))?;
        if let Some(found) = &found {
            check_whole(None, found)?;
        }
        Ok(found)
    }

    /// An operation as the group or the memory has it.
    fn known(&self, staged: &Staged, id: OperationId) -> Option<AnyOperation> {
        let open = || self.memory.open.get(&id).cloned();
        let batch = || staged.batches.by_id(id).cloned().map(AnyOperation::Settlement);
        staged.changed.get(&id).cloned().or_else(open).or_else(batch)
    }

    fn is_debit_key_taken(&self, entry: &Entry) -> Result<bool, ReadError> {
        match entry {
            Entry::SaleIntended(intended) => rows::debit_key_exists(self.conn, &intended.key),
            _ => Ok(false),
        }
    }

    fn write(
        &self,
        before: Option<&AnyOperation>,
        after: &AnyOperation,
        head: Head,
        content: &[u8],
    ) -> Result<(), ReadError> {
        match before {
            None => rows::insert_operation(self.conn, after)?,
            Some(before) => rows::change_operation(self.conn, before, after)?,
        }
        rows::insert_entry(self.conn, head, after.id(), content)
    }
}
