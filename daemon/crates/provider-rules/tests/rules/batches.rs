//! C2 and B3: pages, permit or void.

use purser_provider_link::{Item, PermitId, VoidReason};
use purser_provider_rules::batch::{BatchRecord, Page, Phase, Refusal};

use crate::support::{batch, claim, digest};

const PERMIT: PermitId = PermitId([9; 16]);

fn items(count: u32) -> Vec<Item> {
    let item = |sn| {
        let mut claim = claim(100, 0);
        claim.key.terminal_sn = sn;
        Item::Claim(claim)
    };
    (0..count).map(item).collect()
}

/// A batch of five in pages of two, and what its items' digest is after each page.
fn announced() -> (BatchRecord, Vec<purser_provider_link::Digest>) {
    let items = items(5);
    let (sealed, _) = batch(1, &items);
    let after = [2, 4, 5].map(|count| batch(1, &items[..count]).0.items);
    (BatchRecord::announce(None, &sealed).unwrap(), after.to_vec())
}

fn next(
    record: &BatchRecord,
    number: u32,
    items: u32,
    digest_after: purser_provider_link::Digest,
) -> BatchRecord {
    let content = digest(u8::try_from(number).unwrap());
    match record.page(number, None, content, items, digest_after) {
        Ok(Page::Next { record, .. }) => record,
        other => panic!("page {number}: {other:?}"),
    }
}

/// A page as a store hands it in, whose pages came with their numbers as content.
fn page(
    record: &BatchRecord,
    number: u32,
    content: u8,
    items: u32,
    after: purser_provider_link::Digest,
) -> Result<Page, Refusal> {
    let known = (number < record.next_page()).then(|| digest(u8::try_from(number).unwrap()));
    record.page(number, known, digest(content), items, after)
}

fn received() -> BatchRecord {
    let (record, after) = announced();
    let record = next(&record, 0, 2, after[0]);
    let record = next(&record, 1, 2, after[1]);
    next(&record, 2, 1, after[2])
}

/// 60 % uploaded, the line drops, upload again.
#[test]
fn after_a_dropped_line_the_pages_that_came_get_their_first_verdicts() {
    let (record, after) = announced();
    let record = next(&record, 0, 2, after[0]);
    let record = next(&record, 1, 2, after[1]);
    assert_eq!(record.next_page(), 2);
    // The terminal begins again: announcement and pages.
    let (sealed, _) = batch(1, &items(5));
    assert_eq!(BatchRecord::announce(Some(&record), &sealed), Ok(record.clone()));
    assert_eq!(page(&record, 0, 0, 2, after[0]), Ok(Page::Repeat));
    assert_eq!(page(&record, 1, 1, 2, after[1]), Ok(Page::Repeat));
    let record = next(&record, 2, 1, after[2]);
    assert_eq!(record.phase(), Phase::Received);
    assert_eq!(page(&record, 2, 2, 1, after[2]), Ok(Page::Repeat));
    assert_eq!(page(&record, 3, 3, 1, after[2]), Err(Refusal::TooManyItems));
}

#[test]
fn a_page_that_is_skipped_changed_empty_or_too_large_is_refused_by_name() {
    let (record, after) = announced();
    assert_eq!(page(&record, 1, 1, 2, after[1]), Err(Refusal::PageSkipped(1)));
    assert_eq!(page(&record, 0, 0, 0, after[0]), Err(Refusal::PageSize));
    assert_eq!(page(&record, 0, 0, 1_001, after[0]), Err(Refusal::PageSize));
    assert_eq!(page(&record, 0, 0, 6, after[0]), Err(Refusal::TooManyItems));
    let record = next(&record, 0, 2, after[0]);
    assert_eq!(page(&record, 0, 77, 2, after[0]), Err(Refusal::PageChanged(0)));
}

#[test]
fn a_batch_whose_items_are_not_the_sealed_ones_gets_no_permit_and_can_be_voided() {
    let (record, after) = announced();
    let record = next(&record, 0, 2, after[0]);
    let record = next(&record, 1, 2, after[1]);
    assert_eq!(
        record.page(2, None, digest(2), 1, digest(66)),
        Err(Refusal::OtherContent)
    );
    assert_eq!(record.permit(PERMIT), Err(Refusal::NotReceived));
    let voided = record.void(VoidReason::OtherDigest).unwrap();
    assert_eq!(voided.phase(), Phase::Voided(VoidReason::OtherDigest));
}

#[test]
fn a_batch_has_a_permit_or_a_void_and_never_both() {
    let permitted = received().permit(PERMIT).unwrap();
    assert_eq!(
        permitted.void(VoidReason::AskedByTerminal),
        Err(Refusal::Permitted(PERMIT))
    );
    assert_eq!(
        permitted.permit(PermitId([8; 16])),
        Err(Refusal::Permitted(PERMIT))
    );
    let voided = received().void(VoidReason::TerminalRevoked).unwrap();
    let reason = VoidReason::TerminalRevoked;
    assert_eq!(voided.permit(PERMIT), Err(Refusal::Voided(reason)));
    assert_eq!(
        voided.void(VoidReason::AskedByTerminal),
        Ok(voided.clone()),
        "the first void stays"
    );
    assert_eq!(
        voided.page(5, None, digest(5), 1, digest(5)),
        Err(Refusal::Voided(reason))
    );
}

#[test]
fn a_batch_number_with_other_content_is_refused() {
    let (record, _) = announced();
    let (other, _) = batch(1, &items(4));
    assert_eq!(
        BatchRecord::announce(Some(&record), &other),
        Err(Refusal::OtherContent)
    );
}
