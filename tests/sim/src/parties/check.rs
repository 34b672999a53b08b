//! What must hold of both parties after every step.

use purser_ledger::{Account, LoadStanding, Operation, PaidProof, Standing};
use purser_provider_link::LoadId;
use purser_provider_rules::books::Account as There;
use purser_provider_rules::load::Phase;

use super::terminal;
use crate::provider::Provider;
use crate::rule::{Rule, Violation, hold};
use crate::settled::Settled;
use crate::world::World;

impl World {
    pub(crate) fn check_parties(&self) -> Result<(), Violation> {
        let Some(provider) = &self.provider else {
            return Ok(());
        };
        self.check_loads(provider)?;
        for s in 0..self.shops.len() {
            let settled = self.settled(provider, s);
            let counted = settled.check();
            counted.map_err(|what| Violation::new(Rule::ClaimIsInOnePlace, format!("shop {s}: {what}")))?;
            self.check_load_books(s)?;
        }
        self.check_permits(provider)?;
        self.check_whole(provider)
    }

    pub(super) fn settled<'a>(&'a self, provider: &'a Provider, s: usize) -> Settled<'a> {
        Settled {
            store: &self.shops[s].store,
            provider,
            terminal: terminal(s),
            currency: self.kit.currency,
        }
    }

    /// Each load is on one card, or void, or owed, and nobody denies it.
    fn check_loads(&self, provider: &Provider) -> Result<(), Violation> {
        for (id, kept) in &provider.loads {
            let phase = kept.record.phase();
            let credited = self.credits.iter().filter(|it| is_of(id, it.load)).count();
            let standings = || {
                let loads = self.shops.iter().flat_map(|shop| shop.store.loads());
                loads.filter(|load| is_of(id, load.id)).map(|load| &load.standing)
            };
            let is_proven =
                |it: &LoadStanding| matches!(it, LoadStanding::Proven(_) | LoadStanding::Confirmed(_));
            let may_be = |it: &LoadStanding| is_proven(it) || matches!(it, LoadStanding::Released { .. });
            let says_void = standings().any(|it| *it == LoadStanding::Voided);
            let wrong = [
                (credited > 1, "is on cards twice"),
                (credited > 0 && phase == Phase::Voided, "is void, and on a card"),
                (credited == 0 && phase == Phase::Done, "is done, and on no card"),
                (
                    credited > 0 && phase == Phase::Open,
                    "is on a card, and was not released",
                ),
                (
                    credited == 0 && standings().any(is_proven),
                    "is recorded on a card that has nothing",
                ),
                (
                    says_void && phase != Phase::Voided,
                    "is recorded as void, and is not at the provider",
                ),
                (
                    credited > 0 && !standings().any(may_be),
                    "is on a card, and no journal says that it can be",
                ),
            ];
            let wrong = wrong.iter().find(|(is_wrong, _)| *is_wrong);
            hold!(
                LoadIsInOnePlace,
                wrong.is_none(),
                "load {id:?} {} (provider {phase:?}, journals {:?})",
                wrong.map_or("", |it| it.1),
                standings().collect::<Vec<_>>()
            );
        }
        Ok(())
    }

    fn check_load_books(&self, s: usize) -> Result<(), Violation> {
        let store = &self.shops[s].store;
        let held = |account| store.books().balance(account, self.kit.currency).minor();
        let sum = |is_in: fn(&LoadStanding) -> bool| -> u64 {
            let chosen = store.loads().iter().filter(|load| is_in(&load.standing));
            chosen.map(|load| load.amount.minor()).sum()
        };
        let proven = sum(|it| matches!(it, LoadStanding::Proven(_) | LoadStanding::Confirmed(_)));
        let booked = sum(|it| *it != LoadStanding::Voided);
        let told = [Account::Loads, Account::LoadsOwed, Account::Loaded].map(held);
        hold!(
            BooksBalance,
            told == [booked, booked - proven, proven],
            "shop {s} has loads, owed and loaded {told:?}, and its loads make {booked} and {proven}"
        );
        Ok(())
    }

    /// One permit for each batch; all of them pay what was charged, less refunds and what is netted.
    fn check_permits(&self, provider: &Provider) -> Result<(), Violation> {
        for (index, given) in provider.given.iter().enumerate() {
            let earlier = &provider.given[..index];
            hold!(
                PaidOnce,
                earlier.iter().all(|it| it.batch != given.batch),
                "{:?} is the second permit of batch {}",
                given.permit,
                given.batch
            );
        }
        for (key, charge) in &provider.charges {
            let debit = self.shops.iter().enumerate().find_map(|(s, shop)| {
                let is_of = |it: &&Operation| it.key() == Some(key);
                let sale = shop.store.operations().iter().find(is_of)?;
                self.debit(s, key.terminal_sn).map(|_| sale.amount)
            });
            hold!(
                PaidOnce,
                debit == Some(charge.amount),
                "{key:?} is paid with {:?}, and a card was debited with {debit:?}",
                charge.amount
            );
        }
        Ok(())
    }

    /// Issued less redeemed is on cards, in claims, in permits, or in doubt; where something is in doubt, between both answers.
    fn check_whole(&self, provider: &Provider) -> Result<(), Violation> {
        let there = |account| i128::from(provider.books.balance(account).minor());
        hold!(
            WholeWorld,
            provider.broken.is_none() && provider.books.are_balanced(),
            "the provider's books: {:?}, {:?}",
            provider.broken,
            provider.books
        );
        let permits: i128 = provider.given.iter().map(|it| i128::from(it.total.minor())).sum();
        let told = [There::Permits, There::MerchantDebt].map(there);
        hold!(
            WholeWorld,
            told == [permits, i128::from(provider.debt.minor())],
            "permits and debt are {told:?} in the provider's books; {permits} and {:?} were given",
            provider.debt
        );
        let on_cards: i128 = self.cards.iter().map(|it| i128::from(it.balance())).sum();
        let elsewhere: i128 = self.cards.iter().map(|it| i128::from(it.paid_elsewhere)).sum();
        let sum = |of: fn(&Operation) -> bool| -> i128 {
            let sales = self.shops.iter().flat_map(|shop| shop.store.operations());
            sales
                .filter(|it| of(it))
                .map(|it| i128::from(it.amount.minor()))
                .sum()
        };
        let claims = sum(|it| matches!(it.standing, Standing::Paid(_)));
        let in_doubt = sum(Operation::is_open);
        let (issued, loads_in_doubt) = (there(There::Issued), there(There::LoadsInDoubt));
        let spent = on_cards + elsewhere + claims;
        hold!(
            WholeWorld,
            issued - loads_in_doubt <= spent + in_doubt && spent <= issued,
            "{issued} is issued, {loads_in_doubt} of it in doubt; {on_cards} is on cards, {elsewhere} was paid elsewhere, \
             claims are {claims}, in doubt {in_doubt}"
        );
        Ok(())
    }

    /// Everything is decided, and both parties say the same.
    pub(super) fn check_agreement(&self) -> Result<(), Violation> {
        let Some(provider) = &self.provider else {
            return Ok(());
        };
        for (id, kept) in &provider.loads {
            let phase = kept.record.phase();
            hold!(
                PartiesAgree,
                matches!(phase, Phase::Done | Phase::Voided),
                "load {id:?} has no end at the provider: {phase:?}"
            );
            for (s, shop) in self.shops.iter().enumerate() {
                let here = shop.store.load(purser_ledger::OperationId::new(id.0));
                let agrees = here.is_none_or(|load| match load.standing {
                    LoadStanding::Confirmed(_) => phase == Phase::Done,
                    LoadStanding::Voided => phase == Phase::Voided,
                    _ => false,
                });
                hold!(
                    PartiesAgree,
                    agrees,
                    "load {id:?} is {phase:?} at the provider, and {:?} at shop {s}",
                    here.map(|load| &load.standing)
                );
            }
        }
        for s in 0..self.shops.len() {
            let is_proven = |sale: &Operation| match &sale.standing {
                Standing::Paid(paid) => paid.proof != PaidProof::LogOnly,
                _ => false,
            };
            let all = self.settled(provider, s).check_all(is_proven);
            all.map_err(|what| Violation::new(Rule::PartiesAgree, format!("shop {s}: {what}")))?;
        }
        self.check_books_agree(provider)
    }

    fn check_books_agree(&self, provider: &Provider) -> Result<(), Violation> {
        let there = |account| provider.books.balance(account).minor();
        let here = |account| -> u64 {
            let shops = self.shops.iter().map(|shop| shop.store.books());
            shops
                .map(|books| books.balance(account, self.kit.currency).minor())
                .sum()
        };
        // What the one has taken over from the other is the same: permits, and the merchant's debt, which is netted.
        let debt = here(Account::LateRefunds) - here(Account::Netted);
        let pairs = [
            ("permits", here(Account::Permits), there(There::Permits)),
            ("debt", debt, there(There::MerchantDebt)),
            (
                "loads in doubt",
                here(Account::LoadsOwed),
                there(There::LoadsInDoubt),
            ),
            ("claims", here(Account::Claims) + here(Account::InBatch), 0),
        ];
        for (what, here, there) in pairs {
            hold!(
                PartiesAgree,
                here == there,
                "{what}: {here} at the terminals, {there} at the provider"
            );
        }
        // What cards hold, and what was claimed without proof or elsewhere, is all that is outstanding.
        let rest: u64 = self.cards.iter().map(|it| it.balance() + it.paid_elsewhere).sum();
        let unclaimed: u64 = self
            .shops
            .iter()
            .flat_map(|shop| shop.store.operations())
            .map(|sale| {
                let is_charged = sale.key().is_some_and(|key| provider.charges.contains_key(key));
                let s_debited = sale.key().is_some_and(|key| self.is_debited(key));
                if s_debited && !is_charged {
                    sale.amount.minor()
                } else {
                    0
                }
            })
            .sum();
        let outstanding = there(There::Outstanding) - there(There::Unexplained);
        hold!(
            PartiesAgree,
            outstanding == rest + unclaimed,
            "{outstanding} is outstanding at the provider; cards have {rest}, and {unclaimed} is not charged"
        );
        Ok(())
    }

    fn is_debited(&self, key: &purser_ledger::DebitKey) -> bool {
        let shops = self.shops.iter().enumerate();
        let mut of_key =
            shops.filter(|(_, shop)| shop.store.operations().iter().any(|it| it.key() == Some(key)));
        of_key.any(|(s, _)| self.debit(s, key.terminal_sn).is_some())
    }
}

fn is_of(id: &LoadId, load: purser_ledger::OperationId) -> bool {
    id.0 == *load.bytes()
}
