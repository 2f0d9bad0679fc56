//! The simulated worlds that the test command runs: 1,000 seeds, each reproducible by its number.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails loudly")]

use stent_simulation::simulate;

/// More seeds by hand: `SEEDS=5000..6000 cargo test -p stent-simulation`.
fn seeds() -> std::ops::Range<u64> {
    let chosen = std::env::var("SEEDS").ok();
    let bounds = chosen.as_deref().and_then(|text| text.split_once(".."));
    bounds.map_or(0..1_000, |(from, to)| from.parse().unwrap()..to.parse().unwrap())
}

fn worlds(part: u64) {
    let mut kills = 0;
    for seed in seeds().filter(|seed| seed % 2 == part) {
        match simulate(seed) {
            Ok(outline) => kills += outline.kills,
            Err(wrongs) => panic!("seed {seed}: {wrongs}"),
        }
    }
    assert!(kills > 0, "nobody was killed: the worlds prove nothing");
}

#[test]
fn every_world_with_an_even_seed_comes_out_right() {
    worlds(0);
}

#[test]
fn every_world_with_an_odd_seed_comes_out_right() {
    worlds(1);
}

#[test]
fn a_seed_reproduces_its_world_exactly() {
    assert_eq!(simulate(7), simulate(7));
}
