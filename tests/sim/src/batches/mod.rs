//! Settlement with the product's own engine and ledger, the simulator's store and the provider's own rules.
//!
//! A world of its own: sales come from nowhere, as entries of the store, so that all schedules are about batches. A crash may
//! come between any two steps and in every append; every message may be lost before or after it is acted on, come twice, and
//! come again at any later time. After every step the money is counted at both parties.
//!
//! * [`exhaustive`]: one story with every crash, and every pair of crashes, at every step and in every append.
//! * [`seeded`]: stories and faults drawn from a seed.

mod run;

use std::collections::VecDeque;

use purser_engine::settlement::CountBatch;
use purser_engine::{CallId, Config, Engine, Input, Output, Peer, Request, RequestId};
use purser_ledger::{
    Amount, CardId, Commit, Conclusion, DebitKey, DeviceName, DoubtReason, Entry, Monotonic, Now,
    OperationId, Owner, PaidProof, Reference, SaleConcluded, SaleInDoubt, SaleIntended, SalePaid, Scheme,
    SchemeBytes, Store, Wall, commit,
};

use crate::flaw::Flaw;
use crate::kit::{BUILT_UNIX_SECONDS, Kit, enrolment};
use crate::line::{self, Fate, Line, Talk, Went};
use crate::provider::{Issuer, Message, Provider};
use crate::rng::Rng;
use crate::settled::Settled;
use crate::store::SimStore;

pub use run::{Summary, exhaustive, seeded};

/// What is planted to prove that the checks can fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Planted {
    /// Nothing.
    #[default]
    Nothing,
    /// The store answers before it has synced: a seal that was sent may be lost.
    AnswersBeforeSync,
    /// The store takes every seal, and tells a start of no batch.
    ForgetsBatches,
    /// The provider gives a void although there is a permit.
    VoidAfterPermit,
    /// The store keeps claims out of its books.
    Miscounts,
}

impl Planted {
    /// Every flaw.
    pub const ALL: [Self; 4] = [
        Self::AnswersBeforeSync,
        Self::ForgetsBatches,
        Self::VoidAfterPermit,
        Self::Miscounts,
    ];

    fn flaw(self) -> Flaw {
        match self {
            Self::Nothing => Flaw::None,
            Self::VoidAfterPermit => Flaw::ProviderVoidsPermitted,
            Self::ForgetsBatches => Flaw::StoreForgetsBatches,
            Self::AnswersBeforeSync => Flaw::StoreAnswersBeforeSync,
            Self::Miscounts => Flaw::StoreMiscounts,
        }
    }
}

/// What goes on at the terminal by itself, in the order in which an undisturbed world does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The engine's next output is carried out.
    Output,
    /// The engine gets its next input.
    Input,
    /// The journal takes what waits in its line.
    Journal,
    /// The journal's reader counts.
    Count,
    /// The link sends its next message.
    Link,
}

struct World {
    config: Config,
    kit: std::sync::Arc<Kit>,
    engine: Option<Engine>,
    is_draining: bool,
    store: SimStore,
    jobs: VecDeque<Commit>,
    inputs: VecDeque<Input>,
    counting: Vec<(CallId, CountBatch)>,
    links: Vec<Talk>,
    sent: Vec<Message>,
    provider: Provider,
    now: Now,
    rng: Rng,
    sales: u32,
    requests: u64,
    answered: u64,
    steps: u64,
    /// Something that is counted may have changed.
    is_dirty: bool,
}

impl World {
    fn new(kit: &std::sync::Arc<Kit>, seed: u64, debt: u64, planted: Planted) -> Self {
        let config = Config {
            provider: Some(enrolment(0)),
            ..kit.configs[0].clone()
        };
        Self {
            config,
            kit: std::sync::Arc::clone(kit),
            engine: None,
            is_draining: false,
            store: SimStore::new(planted.flaw()),
            jobs: VecDeque::new(),
            inputs: VecDeque::new(),
            counting: Vec::new(),
            links: Vec::new(),
            sent: Vec::new(),
            provider: Provider::new(kit.amount(debt), Issuer::FifthIsForged, planted.flaw()),
            now: Now {
                monotonic: Monotonic(1_000),
                wall: Wall {
                    unix_seconds: BUILT_UNIX_SECONDS + 86_400,
                    utc_offset_seconds: 9 * 3600,
                    trusted: true,
                },
            },
            rng: Rng::new(seed),
            sales: 0,
            requests: 0,
            answered: 0,
            steps: 0,
            is_dirty: true,
        }
    }

    fn start(&mut self) {
        let snapshot = self.store.snapshot().expect("the store can be read");
        let engine = Engine::resume(self.config.clone(), self.kit.sam(true), snapshot, self.now);
        self.engine = Some(engine);
        self.is_draining = true;
    }

    /// The process is gone, with all that was not synced and every line it had open. What it sent may still arrive.
    fn crash(&mut self) {
        self.is_dirty = true;
        self.engine = None;
        self.is_draining = false;
        self.jobs.clear();
        self.inputs.clear();
        self.counting.clear();
        self.links.clear();
        self.requests = self.answered;
        self.store.crash();
    }

    /// What can be done now, without faults.
    fn next_step(&self) -> Option<Step> {
        self.engine.as_ref()?;
        let can = [
            (self.is_draining, Step::Output),
            (!self.inputs.is_empty(), Step::Input),
            (!self.jobs.is_empty(), Step::Journal),
            (!self.counting.is_empty(), Step::Count),
            (!self.links.is_empty(), Step::Link),
        ];
        can.into_iter().find(|(can, _)| *can).map(|(_, step)| step)
    }

    /// Every kind of step that can be taken now, in whatever order.
    fn possible(&self) -> Vec<Step> {
        if self.engine.is_none() {
            return Vec::new();
        }
        let can = [
            (self.is_draining, Step::Output),
            (!self.is_draining && !self.inputs.is_empty(), Step::Input),
            (!self.jobs.is_empty(), Step::Journal),
            (!self.counting.is_empty(), Step::Count),
            (!self.links.is_empty(), Step::Link),
        ];
        can.into_iter()
            .filter(|(can, _)| *can)
            .map(|(_, step)| step)
            .collect()
    }

    fn take(&mut self, step: Step, fate: Fate) {
        self.steps += 1;
        self.now.monotonic = self.now.monotonic.after_ms(1);
        self.is_dirty |= matches!(step, Step::Journal | Step::Link);
        match step {
            Step::Output => self.poll(),
            Step::Input => {
                if let Some(input) = self.inputs.pop_front() {
                    self.handle(input);
                }
            }
            Step::Journal => self.write(),
            Step::Count => self.count(),
            Step::Link => self.link(fate),
        }
    }

    fn handle(&mut self, input: Input) {
        if let Some(engine) = &mut self.engine {
            engine.handle(self.now, input);
            self.is_draining = true;
        }
    }

    fn poll(&mut self) {
        let Some(output) = self.engine.as_mut().and_then(Engine::poll_output) else {
            self.is_draining = false;
            return;
        };
        match output {
            Output::Commit(commit) => self.jobs.push_back(commit),
            Output::Count(call, asked) => self.counting.push((call, asked)),
            Output::Settle(call, send) => self.links.push(Talk::settle(call, send.into_act())),
            Output::Reply(..) => self.answered += 1,
            Output::TellBatch(_) | Output::HintBatch(_) => {}
            other => unreachable!("nobody sells here: {other:?}"),
        }
    }

    fn write(&mut self) {
        let group: Vec<Commit> = self.jobs.drain(..).collect();
        let Ok(answers) = commit(&mut self.store, &group) else {
            return self.crash();
        };
        for (commit, answer) in group.iter().zip(answers) {
            self.inputs.push_back(match answer {
                Ok(receipt) => Input::Committed(receipt),
                Err(refused) => Input::Refused {
                    operation: commit.operation,
                    step: commit.step,
                    refused,
                },
            });
        }
    }

    fn ask(&mut self, request: Request) {
        self.requests += 1;
        let input = Input::Request {
            id: RequestId(self.requests),
            peer: Peer {
                owner: Owner(0),
                operator: true,
            },
            request,
            random: self.rng.sixteen_bytes(),
        };
        self.inputs.push_back(input);
    }

    /// Entries of a sale that nobody sees: its steps from this one on.
    fn record(&mut self, sale: u32, from_step: u8, entries: Vec<Entry>) {
        let at = self.now.wall;
        let mut id = [0xA0; 16];
        id[..4].copy_from_slice(&sale.to_be_bytes());
        let commits: Vec<Commit> = (from_step..)
            .zip(entries)
            .map(|(step, entry)| Commit {
                operation: OperationId::new(id),
                step,
                at,
                entry,
            })
            .collect();
        let dies = self.store.dies.take();
        self.is_dirty = true;
        let answers = self.store.append(&commits).expect("the store does not die here");
        assert!(answers.iter().all(Result::is_ok), "a sale is taken: {answers:?}");
        self.store.dies = dies;
    }

    /// A sale, proven at once; one that was in doubt can be concluded later.
    fn sell(&mut self, was_in_doubt: bool, refund_owed: bool) -> u32 {
        let sale = self.sales;
        self.sales += 1;
        let amount = self.price(sale);
        let bytes = |byte: u8| SchemeBytes::new(Scheme::Pboc, vec![byte; 20]).expect("it is short");
        let intended = Entry::SaleIntended(SaleIntended {
            reference: Reference::new(format!("order-{sale}")).expect("a name"),
            owner: Owner(0),
            amount,
            reader: DeviceName::new("front").expect("a name"),
            key: DebitKey {
                card: CardId::new(Scheme::Pboc, [7; 10]),
                terminal_number: [1; 6],
                terminal_sn: sale,
            },
            attempt: bytes(1),
            pin_verified: true,
            parameters_version: 0,
            generation: 0,
        });
        let doubt = Entry::SaleInDoubt(SaleInDoubt {
            reason: DoubtReason::AnswerLost,
            answer: None,
        });
        let abandoned = Entry::SaleConcluded(SaleConcluded {
            conclusion: Conclusion::Abandoned,
            refund_owed: None,
        });
        let paid = Entry::SalePaid(SalePaid {
            amount,
            proof: PaidProof::Answer,
            evidence: bytes(2),
            balance_after: None,
            refund_owed,
            answer: None,
        });
        let mut entries = vec![intended];
        entries.extend((was_in_doubt || refund_owed).then_some(doubt));
        entries.extend(refund_owed.then_some(abandoned));
        entries.push(paid);
        self.record(sale, 0, entries);
        sale
    }

    fn price(&self, sale: u32) -> Amount {
        self.kit.amount(100 + u64::from(sale))
    }

    /// The POS abandons a sale that was in doubt, after its proof: its buyer is owed the amount.
    fn abandon(&mut self, sale: u32) {
        let owed = Entry::SaleConcluded(SaleConcluded {
            conclusion: Conclusion::Abandoned,
            refund_owed: Some(self.price(sale)),
        });
        self.record(sale, 3, vec![owed]);
    }

    fn settled(&self) -> Settled<'_> {
        Settled {
            store: &self.store,
            provider: &self.provider,
            terminal: enrolment(0).terminal,
            currency: self.kit.currency,
        }
    }

    /// Everything is settled: what is not forged is paid.
    fn check_all(&self) -> Result<(), String> {
        self.settled()
            .check_all(|sale| sale.key().is_some_and(|key| key.terminal_sn % 5 != 4))
    }

    /// The journal's reader counts a batch.
    fn count(&mut self) {
        let (id, asked) = self.counting.remove(0);
        let counted = line::count(&self.store, asked);
        self.inputs.push_back(Input::Counted { id, counted });
    }

    /// The next message of the oldest run.
    fn link(&mut self, fate: Fate) {
        let mut line = Line {
            store: &self.store,
            provider: &mut self.provider,
            sent: &mut self.sent,
            now_unix_seconds: self.now.wall.unix_seconds,
        };
        match line.go_on(self.links.remove(0), fate) {
            Went::On(talk) => self.links.push(talk),
            Went::Ends(call, answered) => {
                let random = self.rng.sixteen_bytes();
                self.inputs.push_back(answered.input(call, random));
            }
        }
    }

    /// A message that was sent once arrives, perhaps again.
    fn arrives_again(&mut self, index: usize) {
        self.is_dirty = true;
        let message = self.sent[index].clone();
        self.provider.hear(&message, self.now.wall.unix_seconds);
    }
}
