//! Whether everything balances: the books, the world, the claims, the journal.

use std::io;

use purser_api::model::{Balance, Counts, Sale, TotalsReply};
use purser_lab::stack::{CURRENCY, Stack, StackError};
use serde::Serialize;

use super::claims::{self, Claim};
use super::show::Show;
use super::story::{ISSUED, Told};

/// What the demo found, as its JSON object has it.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    /// Whether every check holds.
    pub(super) balanced: bool,
    currency: &'static str,
    issued_minor: u64,
    on_card_minor: u64,
    claims_minor: u64,
    in_doubt_minor: u64,
    sales_minor: u64,
    refunds_owed_minor: u64,
    counts: Counts,
    sales: Vec<Sale>,
    claims: Vec<Claim>,
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

impl Check {
    fn new(name: &'static str, holds: bool) -> Self {
        Self {
            name,
            holds,
            found: None,
        }
    }
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
        let on_card = told.card.card();
        let on_card_minor = on_card.money();
        let read = claims::read(&stack.place().state_dir());
        let mut checks = vec![Check {
            name: "the claims can be read from the journal",
            holds: read.is_ok(),
            found: read.as_ref().err().map(causes),
        }];
        let claims = read.unwrap_or_default();
        let claims_minor: u64 = claims.iter().map(|claim| claim.amount_minor).sum();
        let in_doubt_minor = self.balance("in_doubt");
        let paid = told.sales.iter().filter(|sale| sale.outcome == "paid");
        let paid_minor: u64 = paid.clone().map(|sale| sale.amount.minor).sum();
        let debits = u64::from(on_card.state().ep.offline_sn);
        let claim_count = u64::try_from(claims.len()).unwrap_or(u64::MAX);
        checks.extend([
            Check::new(
                "debits equal credits",
                self.totals.balanced && self.side("debit") == self.side("credit"),
            ),
            Check::new(
                "issued = on the card + claims + in doubt",
                u64::from(ISSUED.0) == on_card_minor + claims_minor + in_doubt_minor,
            ),
            Check::new(
                "the account of claims is their sum",
                self.balance("claims") == claims_minor,
            ),
            Check::new("sold = told as paid", self.balance("sales") == paid_minor),
            Check::new(
                "the card counted as many debits as there are claims",
                debits == claim_count,
            ),
            Check::new(
                "the issuer's key confirms every claim",
                !claims.is_empty() && claims.iter().all(|claim| claim.verified),
            ),
            journal_check(stack, "the journal is whole and ends in its head", &self.head)?,
        ]);
        for slip in paid.filter_map(|sale| sale.slip.as_ref()) {
            checks.push(journal_check(
                stack,
                "the journal holds the head of a slip",
                &slip.head,
            )?);
        }
        Ok(Findings {
            balanced: checks.iter().all(|check| check.holds),
            currency: CURRENCY,
            issued_minor: u64::from(ISSUED.0),
            on_card_minor,
            claims_minor,
            in_doubt_minor,
            sales_minor: self.balance("sales"),
            refunds_owed_minor: self.balance("refunds_owed"),
            counts: self.totals.counts,
            sales: told.sales,
            claims,
            head: self.head,
            checks,
            kills: 1,
            milliseconds: 0,
        })
    }
}

/// Runs `purserd verify-journal --expect HEAD`.
fn journal_check(stack: &Stack, name: &'static str, head: &str) -> Result<Check, StackError> {
    let ran = stack.run_verb(&["verify-journal", "--expect", head])?;
    let told = String::from_utf8_lossy(if ran.status.success() {
        &ran.stdout
    } else {
        &ran.stderr
    })
    .into_owned();
    Ok(Check {
        name,
        holds: ran.status.success(),
        found: told.lines().next().map(str::to_owned),
    })
}

impl Findings {
    /// Tells people.
    pub(super) fn show(&self, show: &mut Show<'_>) -> io::Result<()> {
        let row = |cells: &[&str]| cells.iter().map(ToString::to_string).collect::<Vec<_>>();
        let number = |minor: u64| minor.to_string();
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
                number(claim.amount_minor),
                claim.terminal_sn.to_string(),
                claim.card_sn.to_string(),
                claim.tac.clone(),
                proof.as_str().unwrap_or_default().to_owned(),
                if claim.verified { "yes" } else { "NO" }.to_owned(),
            ]
        }));
        show.table(&[0, 1, 2, 3], &rows)?;
        show.heading("The shop's books, and the world:")?;
        let (claims, doubt) = (number(self.claims_minor), number(self.in_doubt_minor));
        show.table(
            &[1, 2],
            &[
                row(&["account", "debit", "credit"]),
                row(&["claims", &claims, ""]),
                row(&["in doubt", &doubt, ""]),
                row(&["sales", "", &number(self.sales_minor)]),
                row(&["refunds owed", "", &number(self.refunds_owed_minor)]),
            ],
        )?;
        show.step(
            "world",
            &format!(
                "issued {} = on the card {} + claims {claims} + in doubt {doubt} [conservation]",
                self.issued_minor, self.on_card_minor
            ),
        )?;
        show.step("head", &self.head)?;
        show.heading("Checks:")?;
        let check = |check: &Check| {
            let found = check.found.as_deref().unwrap_or_default();
            row(&[if check.holds { "holds" } else { "FAILS" }, check.name, found])
        };
        show.table(&[], &self.checks.iter().map(check).collect::<Vec<_>>())
    }
}

/// An error with its causes in one line.
fn causes(error: &claims::ClaimsError) -> String {
    let error: &dyn std::error::Error = error;
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
