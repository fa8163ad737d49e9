//! Reads Rust sources just well enough for the structure tests: tokens without comments, what is test code, and which
//! modules of its crate a file names.

use std::path::{Path, PathBuf};

/// A word, `::`, a string literal (`""`, or `"…"` with anything in it), or one sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The text; what stood in a string is gone.
    pub text: String,
    /// Its line, from 1.
    pub line: usize,
}

impl Token {
    /// Whether it is this text.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        self.text == text
    }

    fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
    }
}

/// All tokens of a source, without comments (doc comments too) and without what strings and characters contain.
#[must_use]
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or('\0');
    let (mut tokens, mut line, mut i) = (Vec::new(), 1, 0);
    while i < chars.len() {
        let start = i;
        let text = match at(i) {
            '/' if at(i + 1) == '/' => {
                while i < chars.len() && at(i) != '\n' {
                    i += 1;
                }
                None
            }
            '/' if at(i + 1) == '*' => {
                i = end_of_block_comment(&chars, i);
                None
            }
            '"' => {
                i = end_of_string(&chars, i);
                Some(string(i - start > 2))
            }
            '\'' if at(i + 1) == '\\' || at(i + 2) == '\'' => {
                i += if at(i + 1) == '\\' { 3 } else { 2 };
                while i < chars.len() && at(i) != '\'' {
                    i += 1;
                }
                i += 1;
                Some("''".to_owned())
            }
            ':' if at(i + 1) == ':' => {
                i += 2;
                Some("::".to_owned())
            }
            c if c.is_alphanumeric() || c == '_' => {
                while at(i).is_alphanumeric() || at(i) == '_' {
                    i += 1;
                }
                let word: String = chars[start..i].iter().collect();
                let hashes = (i..).take_while(|i| at(*i) == '#').count();
                if matches!(word.as_str(), "r" | "br" | "cr") && at(i + hashes) == '"' {
                    let content = i + hashes + 1;
                    i = end_of_raw_string(&chars, content, hashes);
                    Some(string(i > content + 1 + hashes))
                } else {
                    Some(word)
                }
            }
            c => {
                i += 1;
                (!c.is_whitespace()).then(|| c.to_string())
            }
        };
        tokens.extend(text.map(|text| Token { text, line }));
        line += chars[start..i.min(chars.len())]
            .iter()
            .filter(|c| **c == '\n')
            .count();
    }
    tokens
}

fn string(has_content: bool) -> String {
    if has_content { "\"…\"" } else { "\"\"" }.to_owned()
}

fn end_of_block_comment(chars: &[char], mut i: usize) -> usize {
    let mut depth = 0;
    while i < chars.len() {
        match (chars[i], chars.get(i + 1)) {
            ('/', Some('*')) => (depth, i) = (depth + 1, i + 2),
            ('*', Some('/')) => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

fn end_of_string(chars: &[char], start: usize) -> usize {
    let mut i = start + 1;
    while i < chars.len() && chars[i] != '"' {
        i += if chars[i] == '\\' { 2 } else { 1 };
    }
    (i + 1).min(chars.len())
}

fn end_of_raw_string(chars: &[char], content: usize, hashes: usize) -> usize {
    let closes = |i: usize| {
        chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (content..chars.len())
        .find(|i| closes(*i))
        .map_or(chars.len(), |i| i + 1 + hashes)
}

/// The tokens that are compiled outside tests, and the names of the modules (`#[cfg(test)] mod name;`) that are not.
#[must_use]
pub fn without_tests(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    let (mut kept, mut test_modules, mut i) = (Vec::new(), Vec::new(), 0);
    while i < tokens.len() {
        if !is_cfg_test(&tokens[i..]) {
            kept.push(tokens[i].clone());
            i += 1;
            continue;
        }
        while tokens.get(i).is_some_and(|token| token.is("#")) {
            i = end_of_group(tokens, i + 1);
        }
        let end = end_of_item(tokens, i);
        if let [.., keyword, name, semicolon] = &tokens[i..end]
            && keyword.is("mod")
            && semicolon.is(";")
        {
            test_modules.push(name.text.clone());
        }
        i = end;
    }
    (kept, test_modules)
}

fn is_cfg_test(tokens: &[Token]) -> bool {
    let starts = |words: &[&str]| {
        tokens.len() >= words.len() && tokens.iter().zip(words).all(|(token, word)| token.is(word))
    };
    starts(&["#", "[", "cfg", "(", "test", ")", "]"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test", ","])
}

/// The end of a group in any brackets that opens at `i`.
fn end_of_group(tokens: &[Token], mut i: usize) -> usize {
    let mut depth = 0;
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            _ => {}
        }
        i += 1;
        if depth == 0 {
            break;
        }
    }
    i
}

/// The end of the item, field, variant, arm or statement that starts at `i`.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    const ITEMS: [&str; 17] = [
        "mod",
        "fn",
        "use",
        "struct",
        "enum",
        "union",
        "impl",
        "const",
        "static",
        "trait",
        "type",
        "async",
        "unsafe",
        "extern",
        "let",
        "macro_rules",
        "pub",
    ];
    let head = tokens.get(start).map_or("", |token| token.text.as_str());
    let is_item = ITEMS.contains(&head)
        && (head != "pub"
            || tokens[start..]
                .iter()
                .take(8)
                .any(|t| t.text != "pub" && ITEMS.contains(&t.text.as_str())));
    let needs_semicolon = tokens[start..]
        .iter()
        .take(8)
        .find(|t| ITEMS.contains(&t.text.as_str()) && !t.is("pub"))
        .is_some_and(|t| matches!(t.text.as_str(), "use" | "let" | "static" | "type"));
    let mut i = start;
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            ";" => return i + 1,
            "," if !is_item => return i + 1,
            ")" | "]" | "}" => return i,
            "{" => {
                i = end_of_group(tokens, i);
                if is_item && !needs_semicolon {
                    return i;
                }
            }
            "(" | "[" => i = end_of_group(tokens, i),
            _ => i += 1,
        }
    }
    i
}

/// The module of a file, from its path below `src`: `record/join.rs` is `["record", "join"]`, `lib.rs` is `[]`.
#[must_use]
pub fn module_of(file: &str) -> Vec<String> {
    let mut module: Vec<String> = file
        .trim_end_matches(".rs")
        .split('/')
        .map(str::to_owned)
        .collect();
    if module
        .last()
        .is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main"))
    {
        module.pop();
    }
    module
}

/// Every path that the tokens name from the root of their crate (`crate::`, `super::`, in `lib.rs` also `use name::`
/// of its own modules), written out, with its line.
#[must_use]
pub fn crate_paths(tokens: &[Token], module: &[String]) -> Vec<(Vec<String>, usize)> {
    let mut paths = Vec::new();
    // Inline modules we are in: name, and the depth of braces inside.
    let mut inline: Vec<(String, usize)> = Vec::new();
    let (mut depth, mut i) = (0_usize, 0);
    while let Some(token) = tokens.get(i) {
        let here = || -> Vec<String> {
            module
                .iter()
                .cloned()
                .chain(inline.iter().map(|(name, _)| name.clone()))
                .collect()
        };
        let follows = |text: &str| tokens.get(i + 1).is_some_and(|next| next.is(text));
        let after_path = i > 0 && tokens[i - 1].is("::");
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                inline.retain(|(_, inside)| *inside <= depth);
            }
            "mod" if tokens.get(i + 2).is_some_and(|next| next.is("{")) => {
                inline.push((tokens[i + 1].text.clone(), depth + 1));
            }
            "crate" if follows("::") && !after_path => tree(tokens, i + 2, Vec::new(), &mut paths),
            "super" if follows("::") && !after_path => tree(tokens, i, here(), &mut paths),
            "use" if module.is_empty() && inline.is_empty() => tree(tokens, i + 1, Vec::new(), &mut paths),
            _ => {}
        }
        i += 1;
    }
    paths
}

/// One `use` tree (or a plain path, which is a tree without branches).
fn tree(tokens: &[Token], mut i: usize, mut prefix: Vec<String>, paths: &mut Vec<(Vec<String>, usize)>) {
    while let Some(token) = tokens.get(i) {
        match token.text.as_str() {
            "super" => {
                prefix.pop();
            }
            "self" | "crate" => {}
            "{" => {
                let end = end_of_group(tokens, i) - 1;
                let mut branch = i + 1;
                while branch < end {
                    tree(tokens, branch, prefix.clone(), paths);
                    branch = end_of_branch(tokens, branch, end);
                }
                return;
            }
            _ if token.is_word() => prefix.push(token.text.clone()),
            _ => break,
        }
        if !tokens.get(i + 1).is_some_and(|next| next.is("::")) {
            break;
        }
        i += 2;
    }
    let line = tokens
        .get(i)
        .or_else(|| tokens.last())
        .map_or(0, |token| token.line);
    paths.push((prefix, line));
}

fn end_of_branch(tokens: &[Token], mut i: usize, end: usize) -> usize {
    while i < end {
        match tokens[i].text.as_str() {
            "," => return i + 1,
            "{" => i = end_of_group(tokens, i),
            _ => i += 1,
        }
    }
    i
}

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package is a directory of the workspace")
        .to_owned()
}

/// All `.rs` files below a directory (path relative to it with `/`, text), sorted. `target` and hidden directories
/// are left out.
#[must_use]
pub fn rust_files(directory: &Path) -> Vec<(String, String)> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(current) = open.pop() {
        let entries =
            std::fs::read_dir(&current).unwrap_or_else(|error| panic!("{}: {error}", current.display()));
        for path in entries.map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if name != "target" && !name.starts_with('.') {
                    open.push(path);
                }
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let relative = path
                    .strip_prefix(directory)
                    .unwrap()
                    .to_string_lossy()
                    .replace('\\', "/");
                files.push((relative, std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}
