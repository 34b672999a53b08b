//! An engine without cards, a store that takes everything, and a provider that pays everything.

use std::collections::BTreeMap;

use purser_ledger::{
    Amount, Batches, CardId, Claims, Commit, Currency, DebitKey, DeviceName, Entry, Head, JournalReceipt,
    Monotonic, Now, Operation, OperationId, Owner, PaidProof, Reference, Refused, SaleIntended, SalePaid,
    Scheme, SchemeBytes, Settlement, Snapshot, Store, StoreBroken, Wall,
};
use purser_provider_link::{
    BankAccount, BankTerminalId, Batch, Decision, Item, Permit, PermitCheck, PermitId, ProviderName, Sum,
    TerminalName, Verdict, VerdictsDigest,
};
use purser_purse::pboc::{IssuerId, Profile, PsamTerminalNumber, SoftwareSam};

use crate::settlement::items::item;
use crate::settlement::{
    BatchView, CountBatch, Counter, Enrolment, FindUnpaid, PresentedAgain, ProviderFailure, SendBatch,
    SettleAnswer, Settleable,
};
use crate::{CallId, Config, Engine, Input, Limits, Output, Peer, Reply, Request, RequestError, RequestId};

const KEYS: &str = "[[purchase_key]]\nversion = 1\nalgorithm = 0\nkey = \"00112233445566778899aabbccddeeff\"\nlevels = [\"asn\"]\n";

pub(super) const NOW: Now = Now {
    monotonic: Monotonic(0),
    wall: Wall {
        unix_seconds: 1_800_000_000,
        utc_offset_seconds: 0,
        trusted: true,
    },
};

pub(super) fn jpy() -> Currency {
    "JPY".parse().unwrap()
}

pub(super) fn yen(minor: u64) -> Amount {
    Amount::new(minor, jpy()).unwrap()
}

pub(super) fn enrolment() -> Enrolment {
    Enrolment {
        terminal: TerminalName::new("till-1").unwrap(),
        generation: 0,
        provider: ProviderName::new("provider").unwrap(),
        accounts: vec![BankAccount::new(*b"001200310000042").unwrap()],
    }
}

/// Takes every commit.
#[derive(Debug, Default)]
struct Anything(u64);

impl Store for Anything {
    fn append(&mut self, group: &[Commit]) -> Result<Vec<Result<Head, Refused>>, StoreBroken> {
        let taken = group.iter().map(|_| {
            self.0 += 1;
            Ok(Head {
                number: 100 + self.0,
                digest: [0; 32],
            })
        });
        Ok(taken.collect())
    }

    fn find(
        &self,
        _: &purser_ledger::Find,
    ) -> Result<Option<purser_ledger::AnyOperation>, purser_ledger::FindError> {
        Ok(None)
    }

    fn snapshot(&self) -> Result<Snapshot, StoreBroken> {
        Ok(Snapshot::default())
    }
}

/// What the engine wants done about batches, in short.
#[derive(Debug)]
pub(super) enum Wants {
    Count(CallId, CountBatch),
    Commit(Commit),
    Send(CallId, SendBatch),
    Ended(BatchView),
    Reply(Result<Vec<BatchView>, RequestError>),
    Stopped,
    FindUnpaid(CallId, FindUnpaid),
    Presented(PresentedAgain),
}

pub(super) struct Till {
    pub(super) engine: Engine,
    store: Anything,
    pub(super) now: Now,
    requests: u64,
}

impl Till {
    pub(super) fn new() -> Self {
        Self::resumed(Some(enrolment()), Snapshot::default())
    }

    pub(super) fn resumed(provider: Option<Enrolment>, snapshot: Snapshot) -> Self {
        let config = Config {
            terminal_number: PsamTerminalNumber::new([0, 0, 0, 0, 0, 1]),
            profile: Profile::default(),
            issuers: BTreeMap::from([(IssuerId::new([1; 8]), jpy())]),
            pin_free_up_to: BTreeMap::new(),
            pin_through_api: false,
            pin_pads: BTreeMap::new(),
            card_wait_ms: 60_000,
            pin_wait_ms: 60_000,
            limits: Limits::default(),
            provider,
            built_unix_seconds: 1_790_000_000,
            generation: 0,
        };
        let sam = SoftwareSam::from_credential(KEYS.as_bytes()).unwrap();
        Self {
            engine: Engine::resume(config, sam, snapshot, NOW),
            store: Anything::default(),
            now: NOW,
            requests: 0,
        }
    }

    pub(super) fn handle(&mut self, input: Input) -> Vec<Wants> {
        self.engine.handle(self.now, input);
        self.wants()
    }

    pub(super) fn wants(&mut self) -> Vec<Wants> {
        let outputs = std::iter::from_fn(|| self.engine.poll_output());
        let wants = outputs.filter_map(|output| match output {
            Output::Count(id, asked) => Some(Wants::Count(id, asked)),
            Output::Commit(commit) => Some(Wants::Commit(commit)),
            Output::Settle(id, send) => Some(Wants::Send(id, send.into_act())),
            Output::TellBatch(told) => Some(Wants::Ended(told.into_act().view)),
            Output::Reply(_, Ok(Reply::Settling(views))) => Some(Wants::Reply(Ok(views))),
            Output::Reply(_, Ok(Reply::Stopped)) => Some(Wants::Stopped),
            Output::Reply(_, Err(error)) => Some(Wants::Reply(Err(error))),
            Output::FindUnpaid(id, asked) => Some(Wants::FindUnpaid(id, asked)),
            Output::Reply(_, Ok(Reply::PresentedAgain(done))) => Some(Wants::Presented(done)),
            Output::HintBatch(_) | Output::Tell(_) => None,
            other => panic!("nobody sells here: {other:?}"),
        });
        wants.collect()
    }

    pub(super) fn ask(&mut self, request: Request, operator: bool) -> Vec<Wants> {
        self.requests += 1;
        let peer = Peer {
            owner: Owner(7),
            operator,
        };
        self.handle(Input::Request {
            id: RequestId(self.requests),
            peer,
            request,
            random: [u8::try_from(self.requests).unwrap(); 16],
        })
    }

    pub(super) fn settle(&mut self) -> Vec<Wants> {
        self.ask(Request::Settle(None), true)
    }

    /// Asks to settle, and gives the one call to count.
    pub(super) fn begin(&mut self) -> (CallId, CountBatch) {
        let [Wants::Count(id, asked)] = &self.settle()[..] else {
            panic!("the batch is counted");
        };
        (*id, asked.clone())
    }

    /// The reader counts so many claims up to an entry; gives the seal's commit.
    pub(super) fn counted(&mut self, (id, asked): (CallId, CountBatch), claims: u32, upto: u64) -> Commit {
        let counted = count(asked, claims, upto, false);
        let wants = self.handle(Input::Counted {
            id,
            counted: Ok(Some(counted)),
        });
        let [Wants::Commit(commit)] = &wants[..] else {
            panic!("the batch is sealed: {wants:?}");
        };
        commit.clone()
    }

    pub(super) fn committed(&mut self, commit: &Commit) -> Vec<Wants> {
        let commits = std::slice::from_ref(commit);
        let mut receipts = purser_ledger::commit(&mut self.store, commits).unwrap();
        let receipt: JournalReceipt = receipts.remove(0).unwrap();
        self.handle(Input::Committed(receipt))
    }

    /// A batch of two claims that is sealed, and the call that sends it.
    pub(super) fn sealed(&mut self) -> (CallId, SendBatch) {
        let begun = self.begin();
        let commit = self.counted(begun, 2, 9);
        let wants = self.committed(&commit);
        let [Wants::Send(id, send), Wants::Reply(Ok(_))] = &wants[..] else {
            panic!("the batch is sent, and then told: {wants:?}");
        };
        (*id, send.clone())
    }

    pub(super) fn settled(
        &mut self,
        id: CallId,
        answered: Result<SettleAnswer, ProviderFailure>,
    ) -> Vec<Wants> {
        self.handle(Input::Settled {
            id,
            answered,
            random: [0x33; 16],
        })
    }

    pub(super) fn wait_ms(&mut self, ms: u64) -> Vec<Wants> {
        self.now.monotonic = self.now.monotonic.after_ms(ms);
        self.handle(Input::Timer)
    }
}

pub(super) fn failure(is_transient: bool) -> ProviderFailure {
    ProviderFailure {
        name: "no_line",
        is_transient,
        text: "the provider cannot be reached".to_owned(),
    }
}

/// A paid sale whose entries are these two numbers.
pub(super) fn paid(sn: u32, paid_at: u64) -> Settleable {
    let id = OperationId::new([u8::try_from(sn).unwrap() + 1; 16]);
    let bytes = SchemeBytes::new(Scheme::Pboc, vec![1; 8]).unwrap();
    let intended = Entry::SaleIntended(SaleIntended {
        reference: Reference::new(format!("order-{sn}")).unwrap(),
        owner: Owner(0),
        amount: yen(300),
        reader: DeviceName::new("reader").unwrap(),
        key: DebitKey {
            card: CardId::new(Scheme::Pboc, [7; 10]),
            terminal_number: [0, 0, 0, 0, 0, 1],
            terminal_sn: sn,
        },
        attempt: bytes.clone(),
        pin_verified: true,
        parameters_version: 0,
        generation: 0,
    });
    let evidence = Entry::SalePaid(SalePaid {
        amount: yen(300),
        proof: PaidProof::Answer,
        evidence: bytes,
        balance_after: None,
        refund_owed: false,
        answer: None,
    });
    let content = |step, entry| {
        Commit {
            operation: id,
            step,
            at: NOW.wall,
            entry,
        }
        .content()
    };
    let head = |number| Head {
        number,
        digest: [0; 32],
    };
    let mut operation = Operation::begin(&content(0, intended), head(paid_at - 1)).unwrap();
    operation.apply(&content(1, evidence), head(paid_at)).unwrap();
    Settleable {
        entry: paid_at,
        operation,
    }
}

fn claims(number: u32, after: u64) -> Vec<Settleable> {
    (0..number)
        .map(|sn| paid(sn, after + 2 * u64::from(sn) + 2))
        .collect()
}

pub(super) fn count(asked: CountBatch, number: u32, upto: u64, has_more: bool) -> crate::settlement::Counted {
    let after = asked.after;
    let mut counter = Counter::new(asked);
    for settleable in claims(number, after) {
        counter.take(&settleable).unwrap();
    }
    let open = Claims {
        count: u64::from(number),
        minor: 300 * u64::from(number),
        oldest_unix_seconds: None,
    };
    counter.finish(upto, has_more, open).unwrap().unwrap()
}

/// The provider pays for everything.
pub(super) fn permit(send: &SendBatch, change: impl Fn(&mut Permit)) -> SettleAnswer {
    let batch = send.batch.digest();
    let items: Vec<Item> = claims(send.batch.count, send.after)
        .iter()
        .map(|it| item(it, send.after).unwrap().unwrap())
        .collect();
    let verdicts: Vec<Verdict> = (0..)
        .zip(&items)
        .map(|(place, item)| Verdict {
            batch,
            place,
            item: item.digest(),
            revision: 0,
            decision: Decision::Pay(yen(300)),
        })
        .collect();
    let digest = verdicts
        .iter()
        .fold(VerdictsDigest::begin(batch), VerdictsDigest::with);
    let sum = verdicts
        .iter()
        .fold(Sum::begin(yen(0)), |sum, it| sum.with(it.decision).unwrap());
    let mut permit = Permit {
        id: PermitId([5; 16]),
        generation: 1,
        batch,
        verdicts: digest.digest(),
        sum,
        presenter: enrolment().terminal,
        bank_terminal: BankTerminalId::new(*b"00000001").unwrap(),
        account: enrolment().accounts[0],
        expires_unix_seconds: NOW.wall.unix_seconds + 3_600,
        sealed_token: vec![1; 16],
    };
    let mut check = PermitCheck::begin(send.batch.clone());
    check.page(&items, &verdicts).unwrap();
    let honest = check.clone().finish(&permit).unwrap();
    change(&mut permit);
    // A permit that the check refuses is one that a faulty link hands in with another one's verdicts.
    let judged = check.finish(&permit).unwrap_or(honest);
    SettleAnswer::Permit {
        permit,
        signature: vec![9; 64],
        judged,
    }
}

/// What a start finds of a batch that was sealed and not ended.
pub(super) fn snapshot_of(commit: &Commit) -> Snapshot {
    let head = Head {
        number: 101,
        digest: [0; 32],
    };
    let settlement = Settlement::begin(&commit.content(), head).unwrap();
    let mut batches = Batches::new();
    batches.take(&settlement);
    Snapshot {
        batches,
        ..Snapshot::default()
    }
}

pub(super) fn batch_of(commit: &Commit) -> Batch {
    let Entry::BatchSealed(sealed) = &commit.entry else {
        panic!("it is a seal: {commit:?}");
    };
    Batch::decode(&sealed.batch).unwrap()
}
