//! Stand-in until the key schedule is there.

/// A traffic secret.
pub(crate) struct TrafficSecret([u8; 32]);

pub(crate) struct TrafficKeys([u8; 32], usize, [u8; 12]);

impl TrafficKeys {
    pub(crate) fn key(&self) -> &[u8] {
        self.0.get(..self.1).unwrap_or_default()
    }

    pub(crate) const fn iv(&self) -> &[u8; 12] {
        &self.2
    }
}

impl TrafficSecret {
    #[cfg(test)]
    pub(crate) fn for_test(byte: u8) -> Self {
        Self([byte; 32])
    }

    pub(crate) fn next(&self) -> Self {
        let mut next = self.0;
        next.iter_mut()
            .for_each(|byte| *byte = byte.wrapping_mul(5).wrapping_add(1));
        Self(next)
    }

    pub(crate) fn key_and_iv(&self, key_len: usize) -> TrafficKeys {
        let mut iv = [0; 12];
        for (to, from) in iv.iter_mut().zip(&self.0) {
            *to = !*from;
        }
        TrafficKeys(self.0, key_len, iv)
    }
}
