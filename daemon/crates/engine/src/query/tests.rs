//! One terminal whose sales are in doubt, a store that keeps every rule, and a provider that answers as the test says.

use std::collections::BTreeMap;

use purser_ledger::{
    AnyOperation, Batches, Books, CardId, Commit, DebitKey, DeviceName, DoubtReason, Existing, Find,
    FindError, Head, Now, Owner, QueryReason, Reference, Refused, SaleInDoubt, SaleIntended, SaleQueried,
    Snapshot, Store, StoreBroken, Wall, admit, commit, find,
};
use purser_provider_link::{BankAccount, ProviderName, TerminalName};
use purser_purse::pboc::{
    AlgorithmId, Asn, Attempt, CardRandom, IssuerId, KeyVersion, Mac2, OfflineSn, Profile,
    PsamTerminalNumber, PurseAmount, PurseKind, SoftwareSam, Tac, TerminalSn, TerminalTime,
};

use super::*;
use crate::settlement::Enrolment;
use crate::{Config, Input, Limits, Peer, Request, RequestId};

const KEYS: &str = "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\nlevels = [\"asn\"]\n";

fn yen(minor: u64) -> purser_ledger::Amount {
    purser_ledger::Amount::new(minor, "JPY".parse().unwrap()).unwrap()
}

/// Keeps operations by the rules of every store.
#[derive(Debug, Default)]
struct Kept {
    operations: Vec<AnyOperation>,
    books: Books,
    number: u64,
}

impl Store for Kept {
    fn append(&mut self, group: &[Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken> {
        let mut answers = Vec::new();
        for commit in group {
            let head = Head {
                number: self.number + 1,
                digest: [0; 32],
            };
            let index = self.operations.iter().position(|it| it.id() == commit.operation);
            let existing = Existing {
                operation: index.map(|index| &self.operations[index]),
                by_reference: None,
                debit_key_is_taken: false,
                batches: &Batches::new(),
                has_room: true,
            };
            answers.push(admit(commit, head, existing, &self.books).map(|(after, books)| {
                self.books = books;
                self.number += 1;
                match index {
                    Some(index) => self.operations[index] = after,
                    None => self.operations.push(after),
                }
                head
            }));
        }
        Ok(answers)
    }

    fn find(&self, query: &Find) -> Result<Option<AnyOperation>, FindError> {
        let Find::Reference(reference) = query;
        let mut all = self.operations.iter();
        Ok(all.find(|it| it.reference() == Some(reference)).cloned())
    }

    fn snapshot(&self) -> Result<Snapshot, StoreBroken> {
        let sales = self.operations.iter().filter_map(AnyOperation::sale);
        Ok(Snapshot {
            open: sales.filter(|sale| sale.is_open()).cloned().collect(),
            ..Snapshot::default()
        })
    }
}

impl Kept {
    fn put(&mut self, number: u8, step: u8, entry: Entry) {
        let one = Commit {
            operation: id(number),
            step,
            at: NOW.wall,
            entry,
        };
        commit(self, &[one]).unwrap().remove(0).unwrap();
    }

    /// A sale whose card cannot tell any more, and one that it still can.
    fn with(sales: &[(u8, bool)]) -> Self {
        let mut kept = Self::default();
        for (number, is_queried) in sales {
            kept.put(*number, 0, intended(*number));
            let answer = SchemeBytes::new(Scheme::Pboc, answer().encode());
            let reason = DoubtReason::Mac2NotChecked;
            kept.put(*number, 1, Entry::SaleInDoubt(SaleInDoubt { reason, answer }));
            if *is_queried {
                let reason = QueryReason::CardMovedOn;
                kept.put(
                    *number,
                    2,
                    Entry::SaleQueried(SaleQueried { reason, answer: None }),
                );
            }
        }
        kept
    }

    fn sale(&self, number: u8) -> &Operation {
        let mut sales = self.operations.iter().filter_map(AnyOperation::sale);
        sales.find(|it| it.id == id(number)).unwrap()
    }
}

const NOW: Now = Now {
    monotonic: Monotonic(0),
    wall: Wall {
        unix_seconds: 1_800_000_000,
        utc_offset_seconds: 0,
        trusted: true,
    },
};

fn id(number: u8) -> OperationId {
    OperationId::new([number; 16])
}

fn answer() -> DebitAnswer {
    DebitAnswer {
        tac: Tac::new([7; 4]),
        mac2: Mac2::new([8; 4]),
    }
}

fn intended(number: u8) -> Entry {
    let attempt = Attempt {
        issuer_id: IssuerId::new([1; 8]),
        asn: Asn::new([number; 8]),
        purse: PurseKind::Ep,
        key_index: 1,
        terminal_number: PsamTerminalNumber::new([0, 0, 0, 0, 0, 1]),
        terminal_sn: TerminalSn::new(u32::from(number)),
        offline_sn: OfflineSn::new(3),
        random: CardRandom::new([2; 4]),
        key_version: KeyVersion(1),
        algorithm_id: AlgorithmId(0),
        old_balance: PurseAmount::new(1_000),
        amount: PurseAmount::new(300),
        time: TerminalTime::from_local(1_800_000_000).unwrap(),
    };
    Entry::SaleIntended(SaleIntended {
        reference: Reference::new(format!("order-{number}")).unwrap(),
        owner: Owner(7),
        amount: yen(300),
        reader: DeviceName::new("reader").unwrap(),
        key: DebitKey {
            card: CardId::new(Scheme::Pboc, [number; 10]),
            terminal_number: [0, 0, 0, 0, 0, 1],
            terminal_sn: u32::from(number),
        },
        attempt: SchemeBytes::new(Scheme::Pboc, attempt.encode()).unwrap(),
        pin_verified: false,
        parameters_version: 0,
        generation: 0,
    })
}

struct Till {
    engine: Engine,
    store: Kept,
    now: Now,
    requests: u64,
}

impl Till {
    fn new(sales: &[(u8, bool)]) -> Self {
        Self::started(Kept::with(sales))
    }

    fn started(store: Kept) -> Self {
        let config = Config {
            generation: 0,
            terminal_number: PsamTerminalNumber::new([0, 0, 0, 0, 0, 1]),
            profile: Profile::default(),
            issuers: BTreeMap::from([(IssuerId::new([1; 8]), yen(1).currency())]),
            pin_free_up_to: BTreeMap::new(),
            pin_through_api: false,
            pin_pads: BTreeMap::new(),
            card_wait_ms: 60_000,
            pin_wait_ms: 60_000,
            limits: Limits::default(),
            provider: Some(Enrolment {
                terminal: TerminalName::new("till-1").unwrap(),
                generation: 0,
                provider: ProviderName::new("provider").unwrap(),
                accounts: vec![BankAccount::new(*b"001200310000042").unwrap()],
            }),
            built_unix_seconds: 1_790_000_000,
        };
        let sam = SoftwareSam::from_credential(KEYS.as_bytes()).unwrap();
        Self {
            engine: Engine::resume(config, sam, store.snapshot().unwrap(), NOW),
            store,
            now: NOW,
            requests: 0,
        }
    }

    /// The queries that are sent by it. Commits are carried out, and an end is told.
    fn handle(&mut self, input: Input) -> Vec<(CallId, Query)> {
        let (mut asked, mut inputs) = (Vec::new(), vec![input]);
        while let Some(input) = inputs.pop() {
            self.engine.handle(self.now, input);
            while let Some(output) = self.engine.poll_output() {
                match output {
                    Output::Commit(one) => {
                        let mut stored = commit(&mut self.store, &[one]).unwrap();
                        inputs.insert(0, Input::Committed(stored.remove(0).unwrap()));
                    }
                    Output::Find(id, query) => {
                        let stored = Ok(find(&self.store, &query).unwrap());
                        inputs.insert(0, Input::Found { id, stored });
                    }
                    Output::QuerySale(call, query) => asked.push((call, query)),
                    Output::Tell(_) | Output::Hint(_) | Output::Reply(..) => {}
                    other => panic!("nobody has a card here: {other:?}"),
                }
            }
        }
        asked
    }

    fn wait_ms(&mut self, ms: u64) -> Vec<(CallId, Query)> {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.handle(Input::Timer)
    }

    fn one(&mut self, ms: u64) -> (CallId, Query) {
        let mut asked = self.wait_ms(ms);
        assert_eq!(asked.len(), 1, "one query at a time: {asked:?}");
        asked.remove(0)
    }

    fn told(&mut self, call: CallId, answered: Result<QueryTold, ProviderFailure>) -> Vec<(CallId, Query)> {
        self.handle(Input::Queried {
            id: call,
            answered,
            random: [0; 16],
        })
    }

    fn answer(&mut self, (call, query): &(CallId, Query), proof: QueryProof) -> Vec<(CallId, Query)> {
        self.told(*call, Ok(answered(query, proof)))
    }

    fn conclude(&mut self, number: u8, conclusion: Conclusion) {
        self.requests += 1;
        let reference = Reference::new(format!("order-{number}")).unwrap();
        self.handle(Input::Request {
            id: RequestId(self.requests),
            peer: Peer {
                owner: Owner(7),
                operator: false,
            },
            request: Request::Conclude(reference, conclusion),
            random: [0; 16],
        });
    }
}

fn answered(query: &Query, proof: QueryProof) -> QueryTold {
    QueryTold::Answered {
        answer: QueryAnswer {
            query: query.digest(),
            operation: query.operation,
            proof,
        },
        signature: vec![5; 70],
    }
}

fn failure(is_transient: bool) -> ProviderFailure {
    ProviderFailure {
        name: "NotReached",
        is_transient,
        text: "not reached".to_owned(),
    }
}

#[test]
fn a_sale_that_its_card_cannot_tell_of_is_asked_about_at_once_and_one_in_doubt_later() {
    let mut till = Till::new(&[(1, false), (2, true)]);
    assert_eq!(till.engine.poll_timeout(), Some(Monotonic(0)));
    let (call, query) = till.one(0);
    assert_eq!(query.operation, id(2));
    assert_eq!((query.amount, query.answer.is_some()), (yen(300), true));
    till.told(call, Ok(QueryTold::NotYet));
    assert_eq!(till.engine.queries(), 1);
    assert!(till.wait_ms(DOUBT_MS - 1).is_empty());
    let (_, query) = till.one(1);
    assert_eq!(query.operation, id(1));
    assert_eq!(till.engine.queries(), 2);
}

#[test]
fn the_cards_own_answer_goes_into_the_claim_where_it_proves_it_and_only_there() {
    for (proof, has_tac) in [
        (QueryProof::CardAnswer, true),
        (QueryProof::Claim, false),
        (QueryProof::DecidedHappened, false),
    ] {
        let mut till = Till::new(&[(1, true)]);
        let asked = till.one(0);
        till.answer(&asked, proof);
        let Standing::Paid(paid) = &till.store.sale(1).standing else {
            panic!("{:?}", till.store.sale(1).standing);
        };
        assert_eq!((paid.proof, paid.refund_owed), (PaidProof::Provider, false));
        let evidence = ClaimEvidence::decode(paid.evidence.bytes()).unwrap();
        assert_eq!(evidence.proof(), Proof::Provider);
        assert_eq!(evidence.answer(), has_tac.then(answer), "{proof:?}");
        let word = paid.answer.as_ref().unwrap();
        assert_eq!(QueryAnswer::decode(&word.document).unwrap().proof, proof);
        assert_eq!(word.signature, [5; 70]);
        assert_eq!(till.engine.unsettled().count(), 1, "it is a claim");
        assert_eq!((till.engine.queries(), till.engine.poll_timeout()), (0, None));
    }
}

#[test]
fn what_did_not_happen_is_void_by_the_providers_word() {
    for proof in [QueryProof::OtherDebit, QueryProof::DecidedNot] {
        let mut till = Till::new(&[(1, true)]);
        let asked = till.one(0);
        till.answer(&asked, proof);
        assert_eq!(till.store.sale(1).standing, Standing::Voided(VoidProof::Provider));
        assert_eq!(till.engine.unsettled().count(), 0);
    }
}

/// Buyer paid cash after the tear; next week the proof appears.
#[test]
fn an_abandoned_sale_that_the_provider_proves_owes_a_refund() {
    let mut till = Till::new(&[(1, true)]);
    let asked = till.one(0);
    till.conclude(1, Conclusion::Abandoned);
    till.answer(&asked, QueryProof::CardAnswer);
    assert_eq!(till.store.sale(1).refund_owed, Some(yen(300)));
}

#[test]
fn an_answer_that_was_lost_is_asked_for_again_with_growing_pauses_and_others_take_their_turn() {
    let mut till = Till::new(&[(1, true), (2, true)]);
    let (first, query) = till.one(0);
    assert_eq!(query.operation, id(1));
    assert!(till.told(first, Err(failure(true))).is_empty(), "not at once");
    let (second, query) = till.one(5_000);
    assert_eq!(query.operation, id(2), "the other one's turn");
    assert!(till.told(second, Err(failure(true))).is_empty());
    assert!(till.wait_ms(4_999).is_empty(), "the second pause is longer");
    let again = till.one(5_001);
    assert_eq!(again.1.operation, id(1), "the same bytes: {:?}", again.1);
    let next = till.answer(&again, QueryProof::OtherDebit);
    assert_eq!(next.len(), 1, "it is reached again: the next at once");
}

#[test]
fn what_is_not_known_yet_or_refused_is_asked_again_after_an_hour() {
    for answered in [Ok(QueryTold::NotYet), Err(failure(false))] {
        let mut till = Till::new(&[(1, true)]);
        let (call, _) = till.one(0);
        till.told(call, answered);
        assert!(till.wait_ms(AGAIN_MS - 1).is_empty());
        till.one(AGAIN_MS / 4 + 1);
    }
}

#[test]
fn an_answer_twice_or_of_another_query_or_after_the_end_changes_nothing() {
    let mut till = Till::new(&[(1, true), (2, true)]);
    let (call, query) = till.one(0);
    let other = Query {
        amount: yen(301),
        ..query.clone()
    };
    let next = till.told(call, Ok(answered(&other, QueryProof::CardAnswer)));
    assert_eq!(
        till.store.sale(1).standing,
        Standing::Queried(QueryReason::CardMovedOn)
    );
    let [second] = &next[..] else {
        panic!("{next:?}");
    };
    till.told(call, Ok(answered(&query, QueryProof::DecidedNot)));
    assert!(till.store.sale(1).is_open(), "that call was answered");
    till.answer(second, QueryProof::CardAnswer);
    let paid = till.store.sale(2).clone();
    till.answer(second, QueryProof::DecidedNot);
    assert_eq!(till.store.sale(2), &paid);
}

/// The card has told itself between question and answer.
#[test]
fn who_tells_first_decides() {
    let mut till = Till::new(&[(1, false)]);
    let asked = till.one(DOUBT_MS);
    let proof = VoidProof::CounterUnchanged;
    let outcome = crate::sale::Outcome::Voided(proof);
    till.engine.record(crate::sale::Decision {
        operation: id(1),
        outcome,
    });
    till.answer(&asked, QueryProof::DecidedHappened);
    assert_eq!(till.store.sale(1).standing, Standing::Voided(proof));
    assert_eq!(till.engine.unsettled().count(), 0);
}

#[test]
fn after_a_restart_the_same_is_asked_again_and_after_the_answer_nothing() {
    let mut till = Till::new(&[(1, true)]);
    let (_, first) = till.one(0);
    let mut till = Till::started(till.store);
    let again = till.one(0);
    assert_eq!(again.1, first);
    till.answer(&again, QueryProof::CardAnswer);
    let mut till = Till::started(till.store);
    assert!(till.wait_ms(2 * AGAIN_MS).is_empty());
}

#[test]
fn nothing_is_asked_while_stopping() {
    let mut till = Till::new(&[(1, true)]);
    till.requests += 1;
    let asked = till.handle(Input::Request {
        id: RequestId(till.requests),
        peer: Peer {
            owner: Owner(7),
            operator: true,
        },
        request: Request::Stop,
        random: [0; 16],
    });
    assert!(asked.is_empty());
    assert_eq!(till.engine.poll_timeout(), None);
}

#[test]
fn a_terminal_that_is_suspended_asks_nothing_more_for_an_hour() {
    let mut till = Till::new(&[(1, true), (2, true)]);
    let (call, _) = till.one(0);
    let suspended = ProviderFailure {
        name: "Suspended",
        ..failure(false)
    };
    assert!(till.told(call, Err(suspended)).is_empty());
    assert!(till.wait_ms(AGAIN_MS - 1).is_empty(), "nor about the other sale");
    till.one(1);
}

/// It was lost at the debit, and the card has handed it out later.
#[test]
fn the_query_has_the_answer_that_came_later_and_takes_no_word_against_it_that_was_said_before() {
    for (proof, is_paid) in [
        (QueryProof::DecidedNot, false),
        (QueryProof::DecidedHappened, true),
    ] {
        let mut kept = Kept::default();
        kept.put(1, 0, intended(1));
        let reason = DoubtReason::AnswerLost;
        kept.put(1, 1, Entry::SaleInDoubt(SaleInDoubt { reason, answer: None }));
        let reason = QueryReason::Mac2Unproven;
        let late = SchemeBytes::new(Scheme::Pboc, self::answer().encode());
        let answer = late.clone();
        kept.put(1, 2, Entry::SaleQueried(SaleQueried { reason, answer }));
        let mut till = Till::started(kept);
        let (call, query) = till.one(0);
        assert_eq!(query.answer, late);
        till.told(call, Ok(answered(&query.without_answer(), proof)));
        let standing = &till.store.sale(1).standing;
        assert_eq!(matches!(standing, Standing::Paid(_)), is_paid, "{standing:?}");
        assert_eq!(*standing == Standing::Queried(reason), !is_paid);
    }
}

/// The provider has perhaps been asked with the first answer: another one would be another query.
#[test]
fn the_answer_that_was_kept_first_stays() {
    let mut till = Till::new(&[]);
    till.store.put(1, 0, intended(1));
    let kept = SchemeBytes::new(Scheme::Pboc, answer().encode());
    let (reason, answer) = (DoubtReason::Mac2Refused, kept.clone());
    till.store
        .put(1, 1, Entry::SaleInDoubt(SaleInDoubt { reason, answer }));
    let queried = SaleQueried {
        reason: QueryReason::CardContradicts,
        answer: SchemeBytes::new(Scheme::Pboc, vec![9]),
    };
    till.store.put(1, 2, Entry::SaleQueried(queried));
    assert_eq!(till.store.sale(1).unproven_answer, kept);
}
