//! Whether everything balances: the books, the world, the claims, the journal.

use std::io;

use purser_api::model::{Balance, BatchItem, Counts, Load, Sale, TotalsReply};
use purser_lab::card::Card;
use purser_lab::claims::{self, Claim};
use purser_lab::stack::{CURRENCY, Stack, StackError};
use serde::Serialize;

use super::settle::Settled;
use super::show::Show;
use super::story::{ISSUED, Told};

/// What the brackets of the story mean.
const RULES: [(&str, &str); 12] = [
    (
        "rule 1",
        "record, then act: what lets money move exists only after its entry is durable",
    ),
    ("rule 2", "same reference, same answer; other content is refused"),
    (
        "rule 3",
        "three answers after a crash: happened (proof), did not (proof), in doubt (held and shown)",
    ),
    (
        "rule 4",
        "conservation: what was issued is on cards, in claims, in permits, or in doubt",
    ),
    (
        "rule 5",
        "erase by exchange: claims leave and the permit enters in one commit",
    ),
    (
        "B2",
        "that commit is one flip of the batch's row, however many claims it has",
    ),
    (
        "L1",
        "value leaves the provider only for money that a bank has booked",
    ),
    (
        "L2",
        "a load has numbered attempts: a torn card tries again, and an old MAC2 is dead",
    ),
    (
        "P1",
        "the card's counter and its own proof decide what happened, not its balance",
    ),
    (
        "P2",
        "from the first byte of DEBIT on, anything but a valid proof is in doubt; no layer repeats DEBIT or VERIFY",
    ),
    ("P4", "every way out locks the purse"),
    (
        "P6",
        "what a check after a restart needs is stored before the debit",
    ),
];

/// What the demo found, as its JSON object has it.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// Whether every check holds.
    pub(super) balanced: bool,
    currency: &'static str,
    issued_minor: u64,
    on_card_minor: u64,
    claims_minor: u64,
    permits_minor: u64,
    in_doubt_minor: u64,
    sales_minor: u64,
    refunds_owed_minor: u64,
    counts: Counts,
    sales: Vec<Sale>,
    claims: Vec<Claim>,
    loaded: Load,
    settled: Settled,
    head: String,
    checks: Vec<Check>,
    pub(super) kills: u32,
    pub(super) milliseconds: u128,
}

/// One thing that must hold.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    name: &'static str,
    holds: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<String>,
}

/// What purserd said of its books before it stopped.
pub(super) struct Books {
    totals: TotalsReply,
    head: String,
}

impl Books {
    /// Asks purserd.
    pub(super) fn ask(stack: &Stack) -> Result<Self, StackError> {
        let mut till = stack.till()?;
        Ok(Self {
            totals: till.call(async |purser| purser.totals().await)?,
            head: till.call(async |purser| purser.head().await)?.head,
        })
    }

    fn balance(&self, account: &str) -> u64 {
        let of = |balance: &&Balance| balance.account == account && balance.amount.currency == CURRENCY;
        self.totals
            .balances
            .iter()
            .find(of)
            .map_or(0, |balance| balance.amount.minor)
    }

    fn side(&self, side: &str) -> u64 {
        let of = |balance: &&Balance| balance.side == side;
        self.totals
            .balances
            .iter()
            .filter(of)
            .map(|balance| balance.amount.minor)
            .sum()
    }

    /// Compares everything with everything. purserd has stopped; only files are left.
    pub(super) fn check(self, stack: &Stack, told: Told) -> Result<Findings, StackError> {
        let card = told.card.card();
        let read = claims::read(&stack.layout().state_dir());
        let mut checks = vec![Check {
            name: "the claims can be read from the journal",
            holds: read.is_ok(),
            found: read.as_ref().err().map(causes),
        }];
        let claims = read.unwrap_or_default();
        checks.extend(self.compare(&told.sales, &claims, &card));
        checks.extend(self.compare_parties(&told.settled, &claims, &card));
        let heads = told
            .sales
            .iter()
            .filter_map(|sale| Some(sale.slip.as_ref()?.head.as_str()));
        checks.push(journal_check(
            stack,
            "the journal is whole and ends in its head",
            [self.head.as_str()],
        )?);
        checks.push(journal_check(
            stack,
            "the journal holds the head of every slip",
            heads,
        )?);
        Ok(Findings {
            balanced: checks.iter().all(|check| check.holds),
            currency: CURRENCY,
            issued_minor: u64::from(ISSUED.0),
            on_card_minor: card.money(),
            claims_minor: self.balance("claims"),
            permits_minor: self.balance("permits"),
            in_doubt_minor: self.balance("in_doubt"),
            sales_minor: self.balance("sales"),
            refunds_owed_minor: self.balance("refunds_owed"),
            counts: self.totals.counts,
            sales: told.sales,
            claims,
            loaded: told.loaded,
            settled: told.settled,
            head: self.head,
            checks,
            kills: 1,
            milliseconds: 0,
        })
    }

    fn compare(&self, sales: &[Sale], claims: &[Claim], card: &Card) -> [Check; 7] {
        let check = |name, holds| Check {
            name,
            holds,
            found: None,
        };
        let paid = || sales.iter().filter(|sale| sale.outcome == "paid");
        let (paid_count, claim_count) = (paid().count(), claims.len());
        let counts = self.totals.counts;
        [
            check(
                "debits equal credits",
                self.totals.balanced && self.side("debit") == self.side("credit"),
            ),
            check(
                "issued = on the card + claims + permits + in doubt",
                u64::from(ISSUED.0)
                    == card.money()
                        + self.balance("claims")
                        + self.balance("permits")
                        + self.balance("in_doubt"),
            ),
            check(
                "every claim has left, and the permits are their sum",
                self.balance("claims") + self.balance("in_batch") + self.balance("held") == 0
                    && self.balance("permits") == sum(claims),
            ),
            check(
                "sold is what was told as paid",
                self.balance("sales") == paid().map(|sale| sale.amount.minor).sum::<u64>(),
            ),
            check(
                "no sale is counted otherwise than it was told",
                counts.in_doubt + counts.queried + counts.not_debited == 0
                    && counts.paid == number(paid_count)
                    && counts.closed == number(sales.len() - paid_count),
            ),
            check(
                "the card counted as many debits as there are claims and slips",
                u64::from(card.state().ep.offline_sn) == number(claim_count) && claim_count == paid_count,
            ),
            check(
                "the issuer's key confirms every claim",
                !claims.is_empty() && claims.iter().all(|claim| claim.verified),
            ),
        ]
    }
}

impl Books {
    /// The shop's books beside the provider's.
    fn compare_parties(&self, settled: &Settled, claims: &[Claim], card: &Card) -> [Check; 4] {
        let check = |name, holds, found: Option<String>| Check { name, holds, found };
        let is_paid = |item: &BatchItem| item.decision.as_deref() == Some("pay");
        let (here, there) = (self.balance("permits"), settled.provider_permits_minor);
        let beside = format!("shop: permits {here} {CURRENCY}; provider: permits {there} {CURRENCY}");
        let (issued, outstanding) = (settled.provider_issued_minor, settled.provider_outstanding_minor);
        let worth =
            format!("the provider has issued {issued} {CURRENCY}, and {outstanding} {CURRENCY} are out");
        [
            check(
                "what the provider says that it has issued was loaded, and what is out is on the card",
                issued == u64::from(ISSUED.0) && outstanding == card.money(),
                Some(worth),
            ),
            check(
                "the provider pays each claim of the batch, once",
                settled.items.len() == claims.len() && settled.items.iter().all(is_paid),
                None,
            ),
            check(
                "the books of both parties agree",
                here == there && there > 0,
                Some(beside),
            ),
            check(
                "the provider's books balance, and its audit finds nothing",
                settled.is_provider_sound,
                None,
            ),
        ]
    }
}

fn sum(claims: &[Claim]) -> u64 {
    claims.iter().map(|claim| claim.amount_minor).sum()
}

fn number(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

/// Runs `purserd verify-journal --expect HEAD` for each head.
fn journal_check<'a>(
    stack: &Stack,
    name: &'static str,
    heads: impl IntoIterator<Item = &'a str>,
) -> Result<Check, StackError> {
    let mut found = None;
    for head in heads {
        let ran = stack.run_verb(&["verify-journal", "--expect", head])?;
        let holds = ran.status.success();
        let told = String::from_utf8_lossy(if holds { &ran.stdout } else { &ran.stderr }).into_owned();
        found = told.lines().next().map(str::to_owned);
        if !holds {
            return Ok(Check { name, holds, found });
        }
    }
    // No head would prove nothing.
    let holds = found.is_some();
    Ok(Check { name, holds, found })
}

impl Findings {
    /// Tells people.
    pub(super) fn show(&self, show: &mut Show<'_>) -> io::Result<()> {
        let text = |minor: u64| minor.to_string();
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        show.heading("The claims, as the issuer checks them with the key that no shop has:")?;
        let mut rows = vec![row(&[
            "entry",
            CURRENCY,
            "terminal SN",
            "card SN",
            "TAC",
            "known by",
            "genuine",
        ])];
        rows.extend(self.claims.iter().map(|claim| {
            let proof = serde_json::to_value(claim.proof).unwrap_or_default();
            vec![
                claim.entry.to_string(),
                claim.amount_minor.to_string(),
                claim.terminal_sn.to_string(),
                claim.card_sn.to_string(),
                claim.tac.clone().unwrap_or_else(|| "none".to_owned()),
                proof.as_str().unwrap_or_default().to_owned(),
                if claim.verified { "yes" } else { "NO" }.to_owned(),
            ]
        }));
        show.table(&[0, 1, 2, 3], &rows)?;
        show.heading("The shop's books, and the world:")?;
        let (claims, doubt) = (text(self.claims_minor), text(self.in_doubt_minor));
        let permits = text(self.permits_minor);
        show.table(
            &[1, 2],
            &[
                row(&["account", "debit", "credit"]),
                row(&["claims", &claims, ""]),
                row(&["permits", &permits, ""]),
                row(&["in doubt", &doubt, ""]),
                row(&["sales", "", &text(self.sales_minor)]),
                row(&["refunds owed", "", &text(self.refunds_owed_minor)]),
            ],
        )?;
        show.step(
            "world",
            &format!(
                "issued {} = on the card {} + claims {claims} + permits {permits} + in doubt {doubt} [rule 4]",
                self.issued_minor, self.on_card_minor
            ),
        )?;
        show.step("head", &self.head)?;
        show.heading("Checks:")?;
        for Check { name, holds, found } in &self.checks {
            show.step(if *holds { "holds" } else { "FAILS" }, name)?;
            if let Some(found) = found {
                show.step("", found)?;
            }
        }
        show.heading("The money rules in brackets:")?;
        RULES.iter().try_for_each(|(rule, words)| show.step(rule, words))
    }
}

/// An error with its causes in one line.
fn causes(error: &claims::ClaimsError) -> String {
    let error: &dyn std::error::Error = error;
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
