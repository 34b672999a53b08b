//! Issued = outstanding + redeemed + in doubt, whatever happens in whatever order.

use proptest::prelude::*;
use purser_provider_link::{Decision, Sum};
use purser_provider_rules::books::{Account, Books, BooksError, permitted, redeemed, released, voided};
use purser_provider_rules::shadow::Shadow;

use crate::support::yen;

fn books() -> Books {
    Books::new("JPY".parse().unwrap())
}

#[test]
fn a_claim_of_a_load_in_doubt_is_explained_when_the_load_is_proven() {
    // The card was credited, the load TAC was lost, the buyer pays at once, the claim comes first.
    let books = books().after(&[released(yen(1_000))]).unwrap();
    let (shadow, moves) = Shadow::default().claim(yen(300), Account::Permits);
    let books = books.after(&moves).unwrap();
    assert_eq!(books.balance(Account::Unexplained), yen(300));
    let (shadow, moves) = shadow.load(yen(1_000));
    let books = books.after(&moves).unwrap();
    assert_eq!(books.balance(Account::Unexplained), yen(0));
    assert_eq!(books.balance(Account::Outstanding), yen(700));
    assert_eq!(shadow.outstanding(), 700);
    assert!(books.are_balanced());
}

#[test]
fn an_account_below_zero_is_refused_and_nothing_has_moved() {
    let before = books().after(&[released(yen(10))]).unwrap();
    let refused = before.after(&[released(yen(5)), voided(yen(16))]);
    assert_eq!(refused, Err(BooksError::BelowZero(Account::LoadsInDoubt)));
    assert_eq!(before.balance(Account::Issued), yen(10));
}

#[derive(Clone, Debug)]
enum Act {
    Release(usize, u64),
    Prove(usize),
    Void(usize),
    Permit {
        card: usize,
        amount: u64,
        refunded: u64,
        owe: u64,
    },
    Match(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let card = 0_usize..3;
    prop_oneof![
        (card.clone(), 1_u64..500).prop_map(|(card, amount)| Act::Release(card, amount)),
        any::<usize>().prop_map(Act::Prove),
        any::<usize>().prop_map(Act::Void),
        (card, 1_u64..500, 0_u64..=100, 0_u64..200).prop_map(|(card, amount, share, owe)| Act::Permit {
            card,
            amount,
            refunded: amount * share / 100,
            owe,
        }),
        any::<usize>().prop_map(Act::Match),
    ]
}

proptest! {
    #[test]
    fn the_books_balance_and_equal_a_count_of_the_world(acts in prop::collection::vec(act(), 0..60)) {
        let mut books = books();
        let mut shadows = [Shadow::default(); 3];
        let mut doubts: Vec<(usize, u64)> = Vec::new();
        let mut permits: Vec<u64> = Vec::new();
        let (mut issued, mut debt, mut paid, mut refunds) = (0, 0, 0, 0);
        for act in acts {
            match act {
                Act::Release(card, amount) => {
                    books = books.after(&[released(yen(amount))]).unwrap();
                    doubts.push((card, amount));
                    issued += amount;
                }
                Act::Prove(index) if !doubts.is_empty() => {
                    let (card, amount) = doubts.swap_remove(index % doubts.len());
                    let (shadow, moves) = shadows[card].load(yen(amount));
                    shadows[card] = shadow;
                    books = books.after(&moves).unwrap();
                }
                Act::Void(index) if !doubts.is_empty() => {
                    let (_, amount) = doubts.swap_remove(index % doubts.len());
                    books = books.after(&[voided(yen(amount))]).unwrap();
                    issued -= amount;
                }
                Act::Permit { card, amount, refunded, owe } => {
                    let (shadow, moves) = shadows[card].claim(yen(amount), Account::Permits);
                    shadows[card] = shadow;
                    books = books.after(&moves).unwrap();
                    let sum = Sum::begin(yen(debt)).with(Decision::Pay(yen(amount - refunded))).unwrap();
                    let sum = sum.with(Decision::Owe(yen(owe))).unwrap();
                    books = books.after(&permitted(&sum, yen(refunded))).unwrap();
                    debt = sum.debt_after.minor();
                    refunds += refunded + owe;
                    permits.push(sum.total.minor());
                }
                Act::Match(index) if !permits.is_empty() => {
                    let total = permits.swap_remove(index % permits.len());
                    books = books.after(&[redeemed(yen(total))]).unwrap();
                    paid += total;
                }
                Act::Prove(_) | Act::Void(_) | Act::Match(_) => {}
            }
            let of = |account| books.balance(account).minor();
            prop_assert!(books.are_balanced());
            prop_assert_eq!(of(Account::Issued), issued);
            prop_assert_eq!(of(Account::LoadsInDoubt), doubts.iter().map(|it| it.1).sum::<u64>());
            prop_assert_eq!(of(Account::Outstanding), shadows.iter().map(|it| it.outstanding()).sum::<u64>());
            prop_assert_eq!(of(Account::Unexplained), shadows.iter().map(|it| it.unexplained()).sum::<u64>());
            prop_assert_eq!(of(Account::Permits), permits.iter().sum::<u64>());
            prop_assert_eq!(of(Account::MerchantDebt), debt);
            prop_assert_eq!(of(Account::Redeemed), paid);
            prop_assert_eq!(of(Account::RefundsOwed), refunds);
        }
    }
}
