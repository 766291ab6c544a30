//! SQL as words: enough of its lexical rules to tell words from what stands in quotes and comments.
//!
//! It is no parser. Whatever it takes for a read and is none, a replica refuses before any effect.

/// One token that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Token<'a> {
    /// An unquoted word: a keyword or a name, in any case.
    Word(&'a [u8]),
    /// A name in double quotes, without them.
    Quoted(&'a [u8]),
    /// A constant: a text, with its quotes, or a number.
    Constant(&'a [u8]),
    /// Any other single character.
    Sign(u8),
    /// A semicolon.
    End,
}

impl Token<'_> {
    /// Whether it is this keyword, given in lower case.
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword.as_bytes()))
    }
}

/// The tokens of a text, with where each begins.
#[derive(Clone, Debug)]
pub struct Lexer<'a> {
    sql: &'a [u8],
    at: usize,
}

impl<'a> Lexer<'a> {
    /// At the beginning of `sql`.
    pub fn new(sql: &'a [u8]) -> Self {
        Lexer { sql, at: 0 }
    }

    fn peek(&self, ahead: usize) -> Option<u8> {
        self.sql.get(self.at + ahead).copied()
    }

    fn slice(&self, from: usize, to: usize) -> &'a [u8] {
        self.sql.get(from..to.min(self.sql.len())).unwrap_or_default()
    }

    fn skip_while(&mut self, mut which: impl FnMut(u8) -> bool) {
        while self.peek(0).is_some_and(&mut which) {
            self.at += 1;
        }
    }

    /// Past white space and comments; those of the second kind nest.
    fn skip_blank(&mut self) {
        loop {
            self.skip_while(|b| b.is_ascii_whitespace() || b == 0x0b);
            match (self.peek(0), self.peek(1)) {
                (Some(b'-'), Some(b'-')) => self.skip_while(|b| b != b'\n' && b != b'\r'),
                (Some(b'/'), Some(b'*')) => {
                    let mut depth = 0usize;
                    loop {
                        match (self.peek(0), self.peek(1)) {
                            (Some(b'/'), Some(b'*')) => {
                                depth += 1;
                                self.at += 2;
                            }
                            (Some(b'*'), Some(b'/')) => {
                                depth -= 1;
                                self.at += 2;
                                if depth == 0 {
                                    break;
                                }
                            }
                            (Some(_), _) => self.at += 1,
                            (None, _) => return,
                        }
                    }
                }
                _ => return,
            }
        }
    }

    /// Past the closing quote of a text that begins here; a doubled quote stands for itself.
    fn skip_quoted(&mut self, quote: u8, backslashes: bool) {
        self.at += 1;
        while let Some(byte) = self.peek(0) {
            self.at += 1;
            if backslashes && byte == b'\\' {
                self.at += 1;
            } else if byte == quote {
                if self.peek(0) != Some(quote) {
                    return;
                }
                self.at += 1;
            }
        }
    }

    /// Past a `$tag$ … $tag$` that begins here. False if none does.
    fn skip_dollar_quoted(&mut self) -> bool {
        let start = self.at;
        let mut end = start + 1;
        while self.sql.get(end).is_some_and(|b| is_word(*b) && *b != b'$') {
            end += 1;
        }
        let digit = self.sql.get(start + 1).is_some_and(u8::is_ascii_digit);
        if digit || self.sql.get(end) != Some(&b'$') {
            return false;
        }
        let tag = self.slice(start, end + 1);
        let body = self.sql.get(end + 1..).unwrap_or_default();
        self.at = match memchr::memmem::find(body, tag) {
            Some(found) => end + 1 + found + tag.len(),
            None => self.sql.len(),
        };
        true
    }
}

fn is_word_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_word(byte: u8) -> bool {
    is_word_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

impl<'a> Iterator for Lexer<'a> {
    type Item = (usize, Token<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blank();
        let start = self.at;
        let first = self.peek(0)?;
        let token = match first {
            b';' => {
                self.at += 1;
                Token::End
            }
            b'\'' => {
                self.skip_quoted(b'\'', false);
                Token::Constant(self.slice(start, self.at))
            }
            b'"' => {
                self.skip_quoted(b'"', false);
                Token::Quoted(self.slice(start + 1, self.at.saturating_sub(1).max(start + 1)))
            }
            b'$' if self.skip_dollar_quoted() => Token::Constant(self.slice(start, self.at)),
            _ if matches!(first, b'e' | b'E') && self.peek(1) == Some(b'\'') => {
                self.at += 1;
                self.skip_quoted(b'\'', true);
                Token::Constant(self.slice(start, self.at))
            }
            _ if is_word_start(first) => {
                self.skip_while(is_word);
                Token::Word(self.slice(start, self.at))
            }
            b'0'..=b'9' => {
                self.skip_while(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'_');
                Token::Constant(self.slice(start, self.at))
            }
            sign => {
                self.at += 1;
                Token::Sign(sign)
            }
        };
        Some((start, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(sql: &str) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Lexer::new(sql.as_bytes())
            .map(|(_, token)| match token {
                Token::Word(word) => text(word),
                Token::Quoted(name) => format!("<{}>", text(name)),
                Token::Constant(constant) => format!("={}", text(constant)),
                Token::Sign(sign) => char::from(sign).to_string(),
                Token::End => ";".to_owned(),
            })
            .collect()
    }

    #[test]
    fn quotes_and_comments_hide_words() {
        let table: &[(&str, &[&str])] = &[
            ("select 1", &["select", "=1"]),
            ("SELECT a.b", &["SELECT", "a", ".", "b"]),
            ("select 'update;'", &["select", "='update;'"]),
            ("select 'it''s; delete'", &["select", "='it''s; delete'"]),
            (r"select E'\'; delete' , 1", &["select", r"=E'\'; delete'", ",", "=1"]),
            ("select \"a\"\"b;\"", &["select", "<a\"\"b;>"]),
            ("select $$;delete$$", &["select", "=$$;delete$$"]),
            ("select $x$ $$;$y$ $x$, 2", &["select", "=$x$ $$;$y$ $x$", ",", "=2"]),
            ("select $1 , a$b", &["select", "$", "=1", ",", "a$b"]),
            ("-- delete\nselect", &["select"]),
            ("/* a /* delete */ ; */ select", &["select"]),
            ("a;b", &["a", ";", "b"]),
            ("select '", &["select", "='"]),
            ("select $$ open", &["select", "=$$ open"]),
            ("/* open", &[]),
            ("über", &["über"]),
        ];
        for (sql, expected) in table {
            assert_eq!(words(sql), *expected, "{sql}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes: Vec<u8>) {
            let mut last = None;
            for (at, _) in Lexer::new(&bytes) {
                prop_assert!(last.is_none_or(|last| at > last));
                last = Some(at);
            }
        }

        #[test]
        fn any_text_of_hard_signs_comes_to_an_end(text in r#"[-/*'"$eE;a0 \\\n]{0,40}"#) {
            prop_assert!(Lexer::new(text.as_bytes()).count() <= text.len());
        }
    }
}
