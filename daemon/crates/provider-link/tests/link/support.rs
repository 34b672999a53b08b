//! One example of each document.

use purser_ledger::{Amount, CardId, DebitKey, OperationId, Scheme, SchemeBytes, Wall};
use purser_provider_link::call_back::{Challenge, ChannelBinding, Nonce, Purpose, Ticket};
use purser_provider_link::{
    BankAccount, BankTerminalId, Batch, BatchId, BatchVoid, Claim, Decision, Digest, Item, LateRefund,
    Permit, PermitId, ProviderName, Seal, Sum, TerminalName, Verdict, VerdictsDigest, VoidReason,
};

pub(crate) fn yen(minor: u64) -> Amount {
    Amount::new(minor, "JPY".parse().unwrap()).unwrap()
}

pub(crate) fn at(unix_seconds: i64) -> Wall {
    Wall {
        unix_seconds,
        utc_offset_seconds: 32_400,
        trusted: true,
    }
}

pub(crate) fn key(terminal_sn: u32) -> DebitKey {
    DebitKey {
        card: CardId::new(Scheme::Pboc, *b"0123456789"),
        terminal_number: *b"TERM01",
        terminal_sn,
    }
}

pub(crate) fn claim(terminal_sn: u32, amount: u64, refund_owed: u64) -> Claim {
    Claim {
        operation: OperationId::new([0xA1; 16]),
        key: key(terminal_sn),
        generation: 2,
        amount: yen(amount),
        refund_owed: yen(refund_owed),
        sold_at: at(1_795_420_800),
        parameters_version: 7,
        evidence: SchemeBytes::new(Scheme::Pboc, b"P\x01 what the card made".to_vec()).unwrap(),
    }
}

pub(crate) fn late_refund() -> LateRefund {
    LateRefund {
        key: key(9),
        claim: claim(9, 400, 0).digest(),
        amount: yen(150),
    }
}

pub(crate) fn terminal() -> TerminalName {
    TerminalName::new("shop-7/till-2").unwrap()
}

pub(crate) fn provider() -> ProviderName {
    ProviderName::new("provider.example").unwrap()
}

pub(crate) fn items() -> Vec<Item> {
    vec![
        Item::Claim(claim(41, 300, 0)),
        Item::Claim(claim(42, 1_000, 250)),
        Item::LateRefund(late_refund()),
    ]
}

pub(crate) fn batch() -> Batch {
    let mut seal = Seal::begin(BatchId([0xB2; 16]), "JPY".parse().unwrap());
    for item in items() {
        seal.add(&item).unwrap();
    }
    seal.finish(terminal(), 2, provider(), at(1_795_424_400)).unwrap()
}

pub(crate) fn verdicts() -> Vec<Verdict> {
    let decisions = [
        Decision::Pay(yen(300)),
        Decision::Pay(yen(750)),
        Decision::Owe(yen(150)),
    ];
    let verdict = |(place, (item, decision)): (usize, (Item, Decision))| Verdict {
        batch: batch().digest(),
        place: u32::try_from(place).unwrap(),
        item: item.digest(),
        revision: 0,
        decision,
    };
    items()
        .into_iter()
        .zip(decisions)
        .enumerate()
        .map(verdict)
        .collect()
}

pub(crate) fn permit() -> Permit {
    let mut sum = Sum::begin(yen(100));
    let mut digest = VerdictsDigest::begin(batch().digest());
    for verdict in verdicts() {
        sum = sum.with(verdict.decision).unwrap();
        digest = digest.with(&verdict);
    }
    Permit {
        id: PermitId([0xC3; 16]),
        generation: 1,
        batch: batch().digest(),
        verdicts: digest.digest(),
        sum,
        presenter: terminal(),
        bank_terminal: BankTerminalId::new(*b"BANK0042").unwrap(),
        account: "000100110012345".parse::<BankAccount>().unwrap(),
        expires_unix_seconds: 1_795_510_800,
        sealed_token: b"only the bank can open this".to_vec(),
    }
}

pub(crate) fn void() -> BatchVoid {
    BatchVoid {
        batch_id: batch().id,
        batch: batch().digest(),
        reason: VoidReason::TerminalSuspended,
    }
}

pub(crate) fn challenge() -> (Challenge, ChannelBinding) {
    let challenge = Challenge {
        nonce: Nonce([0xD4; 32]),
        ticket: Ticket([0xE5; 16]),
        purpose: Purpose::Settlement,
        provider: provider(),
        terminal: terminal(),
        subject: Digest([0xF6; 32]),
    };
    (challenge, ChannelBinding([0x17; 32]))
}
