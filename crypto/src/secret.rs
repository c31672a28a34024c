//! Secret bytes: wiped when dropped, never printed, compared in constant time, never copied.
//!
//! SPEC.md section 2.4. Every secret key of the crate is a newtype over [`Secret`], so that a key made for
//! one use has a type which nothing else accepts. They are deliberately neither `Clone` nor serializable:
//! a secret leaves only sealed, or through a method called `expose` that is easy to search for.

use std::fmt;

#[cfg(feature = "client")]
use rand_core::CryptoRng;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// `N` secret bytes, 32 unless said otherwise.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Secret<const N: usize = 32>([u8; N]);

impl<const N: usize> Secret<N> {
    #[cfg(feature = "client")]
    pub(crate) fn new(mut bytes: [u8; N]) -> Self {
        let secret = Self(bytes);
        bytes.zeroize();
        secret
    }

    #[cfg(feature = "client")]
    pub(crate) fn make(rng: &mut impl CryptoRng) -> Self {
        let mut secret = Self([0; N]);
        rng.fill_bytes(&mut secret.0);
        secret
    }

    /// Fills a secret in place, so that no copy is left on the stack of the caller.
    pub(crate) fn filled(fill: impl FnOnce(&mut [u8; N])) -> Self {
        let mut secret = Self([0; N]);
        fill(&mut secret.0);
        secret
    }

    pub(crate) fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// A newtype over [`Secret`] for one use of a key.
#[cfg(feature = "client")]
macro_rules! secret_key {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, PartialEq, Eq)]
        pub struct $name(pub(crate) $crate::secret::Secret);
    };
}
#[cfg(feature = "client")]
pub(crate) use secret_key;

/// A [`secret_key`] that is made at random and kept outside this crate: in a key store or a sealed record.
#[cfg(feature = "client")]
macro_rules! stored_key {
    ($(#[$doc:meta])* $name:ident) => {
        $crate::secret::secret_key! { $(#[$doc])* $name }

        impl $name {
            /// A new random one.
            #[must_use]
            pub fn make(rng: &mut impl rand_core::CryptoRng) -> Self {
                Self($crate::secret::Secret::make(rng))
            }

            /// From the bytes that `expose` gave.
            #[must_use]
            pub fn from_bytes(bytes: [u8; 32]) -> Self {
                Self($crate::secret::Secret::new(bytes))
            }

            /// The secret itself: to be kept sealed, or in the key store of the platform, and nowhere else.
            #[must_use]
            pub fn expose(&self) -> &[u8; 32] {
                self.0.expose()
            }
        }
    };
}
#[cfg(feature = "client")]
pub(crate) use stored_key;

#[cfg(all(test, feature = "client"))]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", Secret::new([7_u8; 32])), "[secret]");
    }

    #[test]
    fn a_secret_is_wiped() {
        let mut secret = Secret::new([7_u8; 32]);
        secret.zeroize();
        assert_eq!(secret.expose(), &[0; 32]);
        fn wipes_on_drop<T: ZeroizeOnDrop>() {}
        wipes_on_drop::<Secret>();
        wipes_on_drop::<ed25519_dalek::SigningKey>();
        wipes_on_drop::<x25519_dalek::StaticSecret>();
    }
}
