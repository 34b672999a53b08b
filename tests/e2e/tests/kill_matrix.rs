#![allow(missing_docs)]
use e2e::phase::*;
#[test]
fn trace() {
    let t = std::time::Instant::now();
    let templates = Templates::new().unwrap();
    println!("templates {:?}", t.elapsed());
    for phase in Phase::ALL {
        let t = std::time::Instant::now();
        let lived = live(phase, &templates, None).unwrap();
        println!("== {phase} {:?} {:?} end {:?}", t.elapsed(), lived.points.len(), lived.end);
        let mut m = std::collections::BTreeMap::new();
        for (p, point) in &lived.points { *m.entry(format!("{p:?} {}", point.class())).or_insert(0) += 1; }
        for (k, v) in m { println!("   {k} {v}"); }
        let mut world = lived.world;
        let t = std::time::Instant::now();
        println!("   {:?} {:?}", e2e::judge::judge(&mut world, phase.reference(), &lived.told), t.elapsed());
    }
}
