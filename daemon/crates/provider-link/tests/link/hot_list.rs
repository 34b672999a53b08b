//! Looking a card up in a hot list.

use purser_provider_link::Parameters;

use crate::documents::parameters;

#[test]
fn every_card_of_a_hot_list_is_found_and_no_other_one() {
    let card = |number: u32| {
        let mut serial = [0; 10];
        serial[3..7].copy_from_slice(&number.to_be_bytes());
        purser_ledger::CardId::new(purser_ledger::Scheme::Pboc, serial)
    };
    let listed = |count: u32| Parameters {
        hot_list: (0..count).map(|number| card(2 * number)).collect(),
        ..parameters()
    };
    for count in [0, 1, 2, 3, 1_000] {
        let parameters = Parameters::decode(&listed(count).encode()).unwrap();
        for number in 0..2 * count + 2 {
            let is_listed = number % 2 == 0 && number < 2 * count;
            assert_eq!(parameters.lists(&card(number)), is_listed, "{number} of {count}");
        }
    }
}
