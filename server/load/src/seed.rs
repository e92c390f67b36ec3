//! Everything random comes from the run's seed. Each purpose has a generator of its own, so that one more draw in one place
//! changes nothing in another.

use sha2::{Digest as _, Sha256};

/// The generator of one agent (or caller) for one purpose.
#[must_use]
pub fn generator(seed: u64, purpose: &str, index: usize) -> fastrand::Rng {
    let bytes = derive(seed, purpose, index);
    let (first, _) = bytes.split_first_chunk::<8>().expect("a digest has 32 bytes");
    fastrand::Rng::with_seed(u64::from_le_bytes(*first))
}

/// 32 bytes for one purpose; an agent's secret key is made of them. Whoever knows the seed knows the keys.
#[must_use]
pub fn derive(seed: u64, purpose: &str, index: usize) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"voltaxe-load");
    hash.update(seed.to_le_bytes());
    hash.update((index as u64).to_le_bytes());
    hash.update(purpose.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_every_purpose_its_own() {
        let draw = |seed, purpose, index| {
            let mut generator = generator(seed, purpose, index);
            (0..4).map(|_| generator.u64(..)).collect::<Vec<_>>()
        };
        assert_eq!(draw(7, "frames", 3), draw(7, "frames", 3));
        assert_ne!(draw(7, "frames", 3), draw(8, "frames", 3));
        assert_ne!(draw(7, "frames", 3), draw(7, "frames", 4));
        assert_ne!(draw(7, "frames", 3), draw(7, "pauses", 3));
    }
}
