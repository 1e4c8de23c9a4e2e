//! How far chance lets a count be from its probability.

/// How many of `runs` hit with a probability of 99 %, where each does with `probability`: the least and the most.
#[must_use]
pub fn interval(runs: u64, probability: f64) -> (u64, u64) {
    // The binomial distribution by its logarithms, which do not underflow.
    let mut choose = 0.0;
    let part = |count: u64, chance: f64| if count == 0 { 0.0 } else { count as f64 * chance.ln() };
    let mut mass = Vec::new();
    for hits in 0..=runs {
        mass.push((choose + part(hits, probability) + part(runs - hits, 1.0 - probability)).exp());
        choose += ((runs - hits) as f64 / (hits + 1) as f64).ln();
    }
    let beyond = |sum: &mut f64, mass: &f64| {
        *sum += mass;
        *sum > 0.005
    };
    let (mut below, mut above) = (0.0, 0.0);
    let least = mass.iter().position(|mass| beyond(&mut below, mass)).map_or(0, |at| at as u64);
    let most = mass.iter().rposition(|mass| beyond(&mut above, mass)).map_or(runs, |at| at as u64);
    (least, most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_holds_ninety_nine_percent() {
        assert_eq!(interval(300, 1.0), (300, 300));
        assert_eq!(interval(300, 0.0), (0, 0));
        // Of 10 throws of a coin 0 and 10 have one chance in 1,024 each, and 1 and 9 ten.
        assert_eq!(interval(10, 0.5), (1, 9));
        let (least, most) = interval(300, 0.991);
        assert!((290..294).contains(&least) && most == 300, "{least} to {most}");
    }
}
