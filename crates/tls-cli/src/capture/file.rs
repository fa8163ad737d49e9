//! Where the lines go: stdout, or a file that is put aside when it has grown.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Takes whole lines; each is out when its write returns.
#[derive(Debug)]
pub(super) enum Output {
    Stdout,
    File(Rotating),
}

/// A file with older ones beside it: FILE.1 is the one before, and so on.
#[derive(Debug)]
pub(super) struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    /// 0 for none.
    max_size: u64,
    /// Older files that are kept.
    keep: u32,
}

impl Output {
    pub(super) const fn stdout() -> Self {
        Self::Stdout
    }

    /// Goes on with the file if it is there.
    pub(super) fn file(path: &Path, max_size: u64, keep: u32) -> io::Result<Self> {
        let file = open(path)?;
        Ok(Self::File(Rotating {
            size: file.metadata()?.len(),
            path: path.to_owned(),
            file,
            max_size,
            keep,
        }))
    }

    /// Writes a line, which comes with its end. In one write, so that whoever follows the file sees no half of it.
    pub(super) fn write_line(&mut self, line: &str) -> io::Result<()> {
        match self {
            Self::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(line.as_bytes())?;
                stdout.flush()
            }
            Self::File(file) => file.write_line(line),
        }
    }
}

impl Rotating {
    fn write_line(&mut self, line: &str) -> io::Result<()> {
        let after = self.size.saturating_add(line.len() as u64);
        if self.max_size > 0 && self.size > 0 && after > self.max_size {
            self.rotate()?;
        }
        self.file.write_all(line.as_bytes())?;
        self.size = self.size.saturating_add(line.len() as u64);
        Ok(())
    }

    /// Each file takes the next number; the last one goes.
    fn rotate(&mut self) -> io::Result<()> {
        if self.keep == 0 {
            self.file.set_len(0)?;
            self.size = 0;
            return Ok(());
        }
        for number in (1..self.keep).rev() {
            match fs::rename(self.numbered(number), self.numbered(number.saturating_add(1))) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, self.numbered(1))?;
        self.file = open(&self.path)?;
        self.size = 0;
        Ok(())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut name = OsString::from(&self.path);
        name.push(format!(".{number}"));
        name.into()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::Output;

    fn files(directory: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        files.iter().map(owned).collect()
    }

    #[test]
    fn a_full_file_is_put_aside_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut output = Output::file(&path, 10, 3).unwrap();
        for line in ["1111\n", "2222\n", "3333\n"] {
            output.write_line(line).unwrap();
        }
        assert_eq!(
            files(directory.path()),
            named(&[("a", "3333\n"), ("a.1", "1111\n2222\n")])
        );
        // A line that is longer than a file has one of its own.
        for line in ["a long line\n", "4\n", "5\n", "another long one\n"] {
            output.write_line(line).unwrap();
        }
        assert_eq!(
            files(directory.path()),
            named(&[
                ("a", "another long one\n"),
                ("a.1", "4\n5\n"),
                ("a.2", "a long line\n"),
                ("a.3", "3333\n"),
            ])
        );
    }

    #[test]
    fn no_empty_file_is_put_aside() {
        let directory = tempfile::tempdir().unwrap();
        let mut output = Output::file(&directory.path().join("a"), 4, 3).unwrap();
        output.write_line("a long line\n").unwrap();
        assert_eq!(files(directory.path()), named(&[("a", "a long line\n")]));
    }

    #[test]
    fn a_file_that_is_there_is_gone_on_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        fs::write(&path, "old\n").unwrap();
        let mut output = Output::file(&path, 10, 1).unwrap();
        output.write_line("12345\n").unwrap();
        assert_eq!(files(directory.path()), named(&[("a", "old\n12345\n")]));
        output.write_line("6\n").unwrap();
        assert_eq!(
            files(directory.path()),
            named(&[("a", "6\n"), ("a.1", "old\n12345\n")])
        );
    }

    #[test]
    fn nothing_older_need_be_kept_and_there_need_be_no_limit() {
        let directory = tempfile::tempdir().unwrap();
        let mut output = Output::file(&directory.path().join("a"), 4, 0).unwrap();
        output.write_line("111\n").unwrap();
        output.write_line("222\n").unwrap();
        assert_eq!(files(directory.path()), named(&[("a", "222\n")]));
        let mut output = Output::file(&directory.path().join("a"), 0, 3).unwrap();
        output.write_line(&"3".repeat(1000)).unwrap();
        output.write_line("4").unwrap();
        assert_eq!(files(directory.path()).len(), 1);
    }
}
