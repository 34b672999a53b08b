//! The date that a build is given, and what is refused as one (money rule T2).

#[allow(dead_code, reason = "a build script's main is for cargo")]
#[path = "../build.rs"]
mod build_script;

use build_script::built;

const TODAY: u64 = 1_800_000_000;

#[test]
fn a_build_date_that_would_make_every_clock_unbelievable_is_refused_with_words() {
    assert_eq!(built(None, TODAY), Ok(TODAY));
    assert_eq!(built(Some("1735689600"), 0), Ok(1_735_689_600));
    for (epoch, now, word) in [
        (Some("0"), TODAY, "SOURCE_DATE_EPOCH says 0, which is before 2025"),
        (Some("1735689599"), TODAY, "before 2025"),
        (Some("1700000000000"), TODAY, "after 2099"),
        (Some("-1"), TODAY, "no number of seconds"),
        (Some("2026-01-01"), TODAY, "no number of seconds"),
        (Some(""), TODAY, "no number of seconds"),
        (None, 0, "this machine's clock says 0"),
    ] {
        let refused = built(epoch, now).unwrap_err();
        assert!(refused.contains(word), "{epoch:?}: {refused}");
    }
}
