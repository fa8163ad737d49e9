//! Reads `testdata/*.txt`: lines of `name = hex`, `#` starts a comment.

/// The byte strings of one file, by name.
pub(crate) struct Vectors(Vec<(&'static str, Vec<u8>)>);

impl Vectors {
    pub(crate) fn parse(text: &'static str) -> Self {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(
            lines
                .map(|line| {
                    let (name, value) = line
                        .split_once(" = ")
                        .unwrap_or_else(|| panic!("not name = hex: {line}"));
                    (name, hex(value))
                })
                .collect(),
        )
    }

    /// The value of this name; a missing one fails the test.
    pub(crate) fn get(&self, name: &str) -> &[u8] {
        let found = self.0.iter().find(|(n, _)| *n == name);
        &found.unwrap_or_else(|| panic!("no value {name}")).1
    }
}

/// Bytes of an even number of hexadecimal digits; spaces are skipped.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|byte| *byte != b' ')
        .map(|byte| u8::try_from(char::from(byte).to_digit(16).expect("a hexadecimal digit")).unwrap())
        .collect();
    assert_eq!(digits.len() % 2, 0, "an odd number of digits");
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
