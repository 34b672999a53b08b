//! Notes when the program was built: the first clock floor (money rule T2). `SOURCE_DATE_EPOCH` makes it reproducible.

use std::env;
use std::time::SystemTime;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let built = env::var("SOURCE_DATE_EPOCH")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(now);
    println!("cargo::rustc-env=PURSERD_BUILT_UNIX_SECONDS={built}");
}
