//! The settlement, from sealed claims to the bank's money: S30 to S36 with everything that can go wrong in between.
//!
//! One shop and a copy of it (an old image that somebody restored), which has one of the shop's two claims too and is followed
//! up to its permit. The bank is of
//! the weaker kind: it knows each generation's token for itself, so that nothing but the provider keeps two generations apart.

mod hosts;

use std::collections::{BTreeMap, BTreeSet};

use purser_ledger::{Amount, CardId, Currency, DebitKey, OperationId, Scheme, SchemeBytes, Wall};
use purser_provider_link::{
    Batch, BatchId, Claim, Decision, Digest, Item, PermitId, ProviderName, Seal, TerminalName,
};
use purser_provider_rules::batch::{BatchRecord, Phase};
use purser_provider_rules::books::{self, Account, Books};
use purser_provider_rules::judge::Charge;
use purser_provider_rules::permit::{BankSays, PermitRecord};
use purser_provider_rules::shadow::Shadow;

use hosts::{bank_revokes, bank_said, matched};

use super::Planted;
use super::explore::{Model, Rest};

pub(super) struct Settlement {
    pub(super) planted: Planted,
}

const SHOPS: usize = 2;
/// What the card was debited: each item is a page of its own.
const PRICES: [u64; 2] = [300, 200];
/// Which of the debits each shop claims.
const CLAIMS: [&[usize]; SHOPS] = [&[0, 1], &[0]];
/// Presentments of one permit by one shop.
const STANS_MAX: u8 = 2;
const GENERATIONS_MAX: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Message {
    Page { batch: usize, number: usize },
    AskPermit(usize),
    AskVoid(usize),
    Permit { batch: usize, generation: u32 },
    Void(usize),
    Present { batch: usize, generation: u32, stan: u8 },
    Approved { batch: usize, generation: u32, stan: u8 },
    Reverse { batch: usize, generation: u32, stan: u8 },
    Reversed { batch: usize, generation: u32, stan: u8 },
    ReversalRefused { batch: usize, generation: u32, stan: u8 },
    Revoke { batch: usize, generation: u32 },
    Unusable { batch: usize, generation: u32 },
    PaidAlready { batch: usize, generation: u32 },
    Report { batch: usize, stan: u8 },
    Statement { batch: usize, stan: u8 },
}

/// What a shop's journal says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Journal {
    Sealed,
    /// Only with a planted flaw: the claims are gone, the permit is in memory.
    Erased(u32),
    Exchanged {
        generation: u32,
        stans: u8,
    },
    Presenting {
        generation: u32,
        stan: u8,
    },
    Reversing {
        generation: u32,
        stan: u8,
    },
    Parked,
    Paid,
    /// A permit of nothing: the claims are held.
    Closed,
    Freed,
    Broken,
    Lost,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Bank {
    /// Which presentment each token of a batch's permit was redeemed by.
    paid: BTreeMap<(usize, u32), u8>,
    /// Presentments that were reversed, also those that had not come.
    reversed: BTreeSet<(usize, u32, u8)>,
    unusable: BTreeSet<(usize, u32)>,
    /// What is on a statement is not reversed any more.
    stated: BTreeSet<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct State {
    journal: [Journal; SHOPS],
    batches: [Option<BatchRecord>; SHOPS],
    verdicts: [Vec<Decision>; SHOPS],
    charges: BTreeMap<DebitKey, Charge>,
    permits: [Option<PermitRecord>; SHOPS],
    totals: [u64; SHOPS],
    shadow: Shadow,
    books: Books,
    bank: Bank,
    sent: BTreeSet<Message>,
}

#[derive(Clone, Copy, Debug)]
#[allow(dead_code, reason = "what a step is about is shown in the way to a finding")]
pub(super) enum Step {
    Ask(usize),
    GiveUp(usize),
    Present(usize),
    NoAnswer(usize),
    Crash(usize),
    BreaksForEver(usize),
    Revoke(usize),
    IssueAgain(usize),
    DayEnds(usize),
    Arrives(Message),
}

fn currency() -> Currency {
    "JPY".parse().expect("JPY is a currency")
}

fn yen(minor: u64) -> Amount {
    Amount::new(minor, currency()).expect("the model's amounts are small")
}

fn small<T: TryFrom<usize>>(number: usize) -> T {
    let Ok(number) = T::try_from(number) else {
        unreachable!("the model is small");
    };
    number
}

fn item(debit: usize) -> Item {
    Item::Claim(Claim {
        operation: OperationId::new([small(debit); 16]),
        key: DebitKey {
            card: CardId::new(Scheme::Pboc, [1; 10]),
            terminal_number: *b"TERM01",
            terminal_sn: small(debit),
        },
        generation: 0,
        amount: yen(PRICES[debit]),
        refund_owed: yen(0),
        sold_at: Wall {
            unix_seconds: 0,
            utc_offset_seconds: 0,
            trusted: true,
        },
        parameters_version: 0,
        evidence: SchemeBytes::new(Scheme::Pboc, vec![small(debit)])
            .expect("one byte is no more than the limit"),
    })
}

fn evidence_digest(debit: usize) -> Digest {
    Digest([small(debit); 32])
}

/// The batch of a shop, and its items' digest after each page.
fn sealed(batch: usize) -> (Batch, Vec<Digest>) {
    let mut seal = Seal::begin(BatchId([small(batch); 16]), currency());
    let mut after = Vec::new();
    for debit in CLAIMS[batch] {
        seal.add(&item(*debit)).expect("the batch is small");
        after.push(seal.items());
    }
    let name = TerminalName::new(format!("shop-{batch}")).expect("it is a name");
    let provider = ProviderName::new("provider").expect("it is a name");
    let Item::Claim(claim) = item(0) else {
        unreachable!("items are claims here");
    };
    let batch = seal.finish(name, 0, provider, claim.sold_at);
    (batch.expect("the batch is not empty"), after)
}

fn permit_id(batch: usize) -> PermitId {
    PermitId([small(batch); 16])
}

impl State {
    fn send(&mut self, message: Message) {
        self.sent.insert(message);
    }
}

impl Model for Settlement {
    type State = State;
    type Step = Step;

    fn start(&self) -> State {
        // The card was loaded, and what was debited is known to be outstanding.
        let loaded = yen(PRICES.iter().sum());
        let books = Books::new(currency()).after(&[books::released(loaded)]);
        let (shadow, moves) = Shadow::default().load(loaded);
        let books = books.and_then(|it| it.after(&moves));
        State {
            journal: [Journal::Sealed; SHOPS],
            batches: [None, None],
            verdicts: [Vec::new(), Vec::new()],
            charges: BTreeMap::new(),
            permits: [None, None],
            totals: [0; SHOPS],
            shadow,
            books: books.expect("a load fits into new books"),
            bank: Bank::default(),
            sent: BTreeSet::new(),
        }
    }

    fn is_fault(step: Step) -> bool {
        match step {
            Step::Crash(_) | Step::BreaksForEver(_) => true,
            Step::Ask(_)
            | Step::GiveUp(_)
            | Step::Present(_)
            | Step::NoAnswer(_)
            | Step::Revoke(_)
            | Step::IssueAgain(_)
            | Step::DayEnds(_)
            | Step::Arrives(_) => false,
        }
    }

    fn steps(&self, state: &State, steps: &mut Vec<(Step, State)>) {
        let mut take = |step, change: &dyn Fn(&mut State)| {
            let mut after = state.clone();
            change(&mut after);
            if after != *state {
                steps.push((step, after));
            }
        };
        self.at_shop(state, 0, &mut take);
        take(Step::Ask(1), &|it| ask(it, 1));
        {
            let batch = 0;
            take(Step::Revoke(batch), &|it| self.revoke(it, batch));
            take(Step::IssueAgain(batch), &|it| self.issue_again(it, batch));
            take(Step::DayEnds(batch), &|it| {
                let redeemed = it.bank.paid.iter().find(|((of, _), _)| *of == batch);
                if let Some((_, stan)) = redeemed {
                    let stan = *stan;
                    it.bank.stated.insert(batch);
                    it.send(Message::Statement { batch, stan });
                }
            });
        }
        for message in &state.sent {
            take(Step::Arrives(*message), &|it| self.arrive(it, *message));
        }
    }

    fn check(&self, state: &State) -> Result<(), &'static str> {
        let redeemed: u64 = state
            .bank
            .paid
            .keys()
            .map(|(batch, _)| state.totals[*batch])
            .sum();
        let of = |account| state.books.balance(account).minor();
        let promised: u64 = state.totals.iter().sum();
        let freed_and_permitted = (0..SHOPS).any(|batch| {
            let phase = state.batches[batch].as_ref().map(BatchRecord::phase);
            state.journal[batch] == Journal::Freed && matches!(phase, Some(Phase::Permitted(_)))
        });
        let tokens_of_one = (0..SHOPS).any(|batch| {
            let tokens = state.bank.paid.keys().filter(|(of, _)| *of == batch);
            tokens.count() > 1
        });
        let paid_and_reversed = (0..SHOPS).any(|batch| {
            let (generation, reversed) = match state.journal[batch] {
                Journal::Exchanged { generation, stans } => (generation, stans),
                Journal::Presenting { generation, stan } => (generation, stan - 1),
                _ => return false,
            };
            let by = state.bank.paid.get(&(batch, generation));
            by.is_some_and(|by| *by <= reversed)
        });
        let wrong = [
            (
                paid_and_reversed,
                "the bank paid what the shop holds for reversed",
            ),
            (
                redeemed > PRICES.iter().sum(),
                "the bank paid more than the card was debited",
            ),
            (
                promised > PRICES.iter().sum(),
                "permits promise more than the card was debited",
            ),
            (tokens_of_one, "one batch is paid twice"),
            (!state.books.are_balanced(), "the provider's books do not balance"),
            (
                of(Account::Issued)
                    != of(Account::Outstanding) + of(Account::Permits) + of(Account::Redeemed),
                "issued is not outstanding, in permits and redeemed",
            ),
            (
                of(Account::Permits) + of(Account::Redeemed) != promised,
                "the books and the permits differ",
            ),
            (freed_and_permitted, "claims are free whose batch has a permit"),
            (
                state.journal.contains(&Journal::Lost),
                "claims and permit are lost",
            ),
        ];
        match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
            Some((_, what)) => Err(what),
            None => Ok(()),
        }
    }

    fn rest(&self, state: &State) -> Rest {
        let of_copy = match state.journal[1] {
            Journal::Sealed => Rest::Moving,
            // What becomes of the copy's permit is what becomes of the shop's: the model follows one of them.
            _ => Rest::Reached,
        };
        let of_shop = match state.journal[0] {
            Journal::Paid | Journal::Parked | Journal::Broken if state.bank.stated.contains(&0) => {
                Rest::Reached
            }
            Journal::Closed | Journal::Freed => Rest::Reached,
            // The model's numbers are used up; the permit is good for more.
            Journal::Exchanged { stans, .. } if stans == STANS_MAX => Rest::RanOut,
            _ => Rest::Moving,
        };
        match (of_shop, of_copy) {
            (Rest::Moving, _) | (_, Rest::Moving) => Rest::Moving,
            (rest, _) => rest,
        }
    }
}

impl Settlement {
    fn at_shop(&self, state: &State, batch: usize, take: &mut impl FnMut(Step, &dyn Fn(&mut State))) {
        match state.journal[batch] {
            Journal::Sealed => {
                take(Step::Ask(batch), &|it| ask(it, batch));
                take(Step::GiveUp(batch), &|it| it.send(Message::AskVoid(batch)));
            }
            Journal::Exchanged { generation, stans } if stans < STANS_MAX => {
                let stan = stans + 1;
                take(Step::Present(batch), &|it| {
                    it.journal[batch] = Journal::Presenting { generation, stan };
                    it.send(Message::Present {
                        batch,
                        generation,
                        stan,
                    });
                });
            }
            Journal::Presenting { generation, stan } => take(Step::NoAnswer(batch), &|it| {
                it.journal[batch] = if self.planted == Planted::PresentedTwice {
                    Journal::Exchanged {
                        generation,
                        stans: stan,
                    }
                } else {
                    Journal::Reversing { generation, stan }
                };
                it.send(Message::Reverse {
                    batch,
                    generation,
                    stan,
                });
            }),
            Journal::Erased(generation) => {
                take(Step::Present(batch), &|it| {
                    it.journal[batch] = Journal::Exchanged { generation, stans: 0 };
                });
                take(Step::Crash(batch), &|it| it.journal[batch] = Journal::Lost);
            }
            _ => {}
        }
        let holds_permit = matches!(
            state.journal[batch],
            Journal::Exchanged { generation: 1, .. }
                | Journal::Presenting { generation: 1, .. }
                | Journal::Reversing { generation: 1, .. }
        );
        if holds_permit {
            take(Step::BreaksForEver(batch), &|it| {
                it.journal[batch] = Journal::Broken
            });
        }
    }

    fn arrive(&self, state: &mut State, message: Message) {
        match message {
            Message::Page { batch, number } => self.page(state, batch, number),
            Message::AskPermit(batch) => self.permit(state, batch),
            Message::AskVoid(batch) => self.void(state, batch),
            Message::Revoke { batch, generation } => bank_revokes(state, batch, generation),
            Message::Present {
                batch,
                generation,
                stan,
            } => self.bank_pays(state, batch, generation, stan),
            Message::Reverse {
                batch,
                generation,
                stan,
            } => self.bank_reverses(state, batch, generation, stan),
            Message::Unusable { batch, generation } => {
                bank_said(state, batch, generation, BankSays::Unusable);
            }
            Message::PaidAlready { batch, generation } => {
                bank_said(state, batch, generation, BankSays::Paid);
            }
            Message::Report { batch, stan } | Message::Statement { batch, stan } => {
                let is_report = matches!(message, Message::Report { .. });
                matched(state, batch, stan, is_report);
            }
            Message::Permit { .. }
            | Message::Void(_)
            | Message::Approved { .. }
            | Message::Reversed { .. }
            | Message::ReversalRefused { .. } => self.arrive_at_shop(state, message),
        }
    }

    fn arrive_at_shop(&self, state: &mut State, message: Message) {
        match message {
            Message::Permit { batch, generation } => {
                let takes = match state.journal[batch] {
                    Journal::Sealed => generation == 1,
                    Journal::Broken => generation > 1,
                    _ => false,
                };
                if takes {
                    state.journal[batch] = if state.totals[batch] == 0 {
                        Journal::Closed
                    } else if self.planted == Planted::ErasedBeforeStored {
                        Journal::Erased(generation)
                    } else {
                        Journal::Exchanged { generation, stans: 0 }
                    };
                }
            }
            Message::Void(batch) if state.journal[batch] == Journal::Sealed => {
                state.journal[batch] = Journal::Freed;
            }
            // The approval names the permit, and so its generation: STANs begin anew in a replacement.
            Message::Approved {
                batch,
                generation,
                stan,
            } if state.journal[batch] == (Journal::Presenting { generation, stan }) => {
                state.journal[batch] = Journal::Paid;
                state.send(Message::Report { batch, stan });
            }
            Message::Reversed {
                batch,
                generation,
                stan,
            } if state.journal[batch] == (Journal::Reversing { generation, stan }) => {
                state.journal[batch] = Journal::Exchanged {
                    generation,
                    stans: stan,
                };
            }
            Message::ReversalRefused {
                batch,
                generation,
                stan,
            } if state.journal[batch] == (Journal::Reversing { generation, stan }) => {
                state.journal[batch] = Journal::Parked;
            }
            _ => {}
        }
    }
}

fn ask(state: &mut State, batch: usize) {
    for number in 0..CLAIMS[batch].len() {
        state.send(Message::Page { batch, number });
    }
    state.send(Message::AskPermit(batch));
}
