use crate::shop::*;

#[test]
fn the_proof_needs_no_pin_and_is_given_as_often_as_asked() {
    let mut card = card();
    open(&mut card);
    let sale = Sale::begin(&mut card, 2, 300, 7);
    send(&mut card, &sale.debit);
    for _ in 0..3 {
        card.reset();
        send(&mut card, SELECT);
        assert_eq!(send(&mut card, &sale.prove(2)), sale.proof());
    }
}

#[test]
fn only_the_current_counter_and_type_have_a_proof() {
    let mut card = card();
    open(&mut card);
    assert_eq!(send(&mut card, "805A0006020000"), "9406", "nothing was ever paid");
    let first = Sale::begin(&mut card, 2, 300, 7);
    assert_eq!(
        send(&mut card, &first.prove(2)),
        "9406",
        "initialized is not paid"
    );
    open(&mut card);
    let first = Sale::begin(&mut card, 2, 300, 7);
    send(&mut card, &first.debit);
    assert_eq!(send(&mut card, "805A0006020000"), "9406");
    assert_eq!(send(&mut card, "805A0006020002"), "9406");
    assert_eq!(send(&mut card, "805A0005020001"), "9406");
    assert_eq!(send(&mut card, "805A0002020001"), "9406");
    open(&mut card);
    let second = Sale::begin(&mut card, 2, 300, 8);
    send(&mut card, &second.debit);
    assert_eq!(send(&mut card, &first.prove(2)), "9406");
    assert_eq!(send(&mut card, &second.prove(2)), second.proof());
}

#[test]
fn passbook_and_wallet_keep_a_proof_each() {
    let mut card = card();
    open(&mut card);
    let passbook = Sale::begin(&mut card, 1, 10, 7);
    send(&mut card, &passbook.debit);
    open(&mut card);
    let wallet = Sale::begin(&mut card, 2, 10, 8);
    send(&mut card, &wallet.debit);
    assert_eq!(send(&mut card, &passbook.prove(1)), passbook.proof());
    assert_eq!(send(&mut card, &wallet.prove(2)), wallet.proof());
}
