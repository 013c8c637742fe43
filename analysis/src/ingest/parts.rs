//! Files in parts of whole lines. Each part is read and encoded by one thread; they are written in their order, so that the
//! same lines give the same file whatever the machine.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::{Mutex, mpsc};
use std::thread;

use datafusion::arrow::array::RecordBatch;
use flate2::bufread::MultiGzDecoder;

use super::{Lines, Progress, is_parquet, rows};
use crate::Error;
use crate::table::{Columns, Encoder, RowGroup, Writer};

/// Bytes of a part, about; it becomes one row group.
const PART: usize = 32 << 20;
/// As many parts are read at once, of about 100 MB each with what is made of them.
const MOST_THREADS: usize = 8;

/// Lines, or rows, of one file that follow each other.
pub(super) struct Part<'p> {
    pub(super) path: &'p Path,
    /// The file's first line that is not blank, where that line says what is in the others.
    pub(super) head: Option<String>,
    content: Content,
    /// Lines or rows before these.
    before: u64,
}

enum Content {
    Text(Vec<u8>),
    /// Of Parquet; see [`rows`].
    Rows(Vec<RecordBatch>),
}

/// A place in a file, and what is counted there.
pub(super) struct Here<'h> {
    path: &'h Path,
    number: u64,
    pub(super) lines: &'h mut Lines,
}

impl Here<'_> {
    /// What is here should have been taken.
    pub(super) fn malformed(&mut self, problem: &str) {
        self.lines.malformed(self.path, self.number, problem);
    }
}

impl Part<'_> {
    /// Hands over every line that is not blank, without its end. Bytes that are not UTF-8 are replaced, which makes such
    /// a line fail where it matters.
    pub(super) fn each_line(&self, lines: &mut Lines, mut take: impl FnMut(&str, &mut Here<'_>)) {
        let Content::Text(text) = &self.content else { return };
        let text = String::from_utf8_lossy(text);
        for (number, line) in (self.before + 1..).zip(text.split('\n')) {
            let line = line.trim();
            if !line.is_empty() {
                lines.lines += 1;
                take(line, &mut Here { path: self.path, number, lines });
            }
        }
    }

    /// Hands over every record of a CSV that is not blank; fields in quotes may have line breaks. A record's number is its
    /// first line's.
    pub(super) fn each_record(
        &self,
        lines: &mut Lines,
        mut take: impl FnMut(&csv::StringRecord, &mut Here<'_>),
    ) {
        let Content::Text(text) = &self.content else { return };
        let text = String::from_utf8_lossy(text);
        let mut reader =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
        let mut record = csv::StringRecord::new();
        let (mut counted, mut number) = (0, self.before + 1);
        // Memory has no errors, and the text is UTF-8.
        while reader.read_record(&mut record).unwrap_or(false) {
            // The reader may begin a record with the end of the line before it, and with blank lines.
            let bytes = text.as_bytes();
            let mut start = record.position().map_or(0, |at| at.byte() as usize).min(bytes.len());
            start += bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            number += bytes[counted..start].iter().filter(|byte| **byte == b'\n').count() as u64;
            counted = start;
            if record.iter().any(|field| !field.trim().is_empty()) {
                lines.lines += 1;
                take(&record, &mut Here { path: self.path, number, lines });
            }
        }
    }

    /// Hands over every row of outcomes. Not what [`Self::each_line`] does: a part has the one or the other.
    pub(super) fn each_row(
        &self,
        lines: &mut Lines,
        mut take: impl FnMut(Result<super::Outcome<'_>, String>, &mut Here<'_>),
    ) -> Result<(), Error> {
        let Content::Rows(batches) = &self.content else { return Ok(()) };
        let mut number = self.before;
        for batch in batches {
            rows::each(batch, |outcome| {
                number += 1;
                lines.lines += 1;
                take(outcome, &mut Here { path: self.path, number, lines });
            })
            .map_err(Error::content(self.path))?;
        }
        Ok(())
    }

    /// Whether these are rows.
    pub(super) fn is_rows(&self) -> bool {
        matches!(self.content, Content::Rows(_))
    }
}

/// Reads files into one Parquet file at `to`, which says `about` of itself. `has_head` says of a file whether its first line
/// is a header.
pub(super) fn convert<C: Columns>(
    from: &[PathBuf],
    to: &Path,
    about: &[(&str, &str)],
    progress: Progress<'_>,
    has_head: impl Fn(&Path) -> bool,
    read: impl Fn(&Part<'_>, &mut C, &mut Lines) -> Result<(), Error> + Sync,
) -> Result<Lines, Error> {
    convert_by(PART, from, to, about, progress, has_head, read)
}

fn convert_by<C: Columns>(
    size: usize,
    from: &[PathBuf],
    to: &Path,
    about: &[(&str, &str)],
    progress: Progress<'_>,
    has_head: impl Fn(&Path) -> bool,
    read: impl Fn(&Part<'_>, &mut C, &mut Lines) -> Result<(), Error> + Sync,
) -> Result<Lines, Error> {
    let (mut writer, encoder) = Writer::create::<C>(to)?;
    for (key, value) in about {
        writer.note(key, value);
    }
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_THREADS);
    let mut lines = Lines::default();
    let (send, parts) = mpsc::channel();
    let parts = Mutex::new(parts);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| work(&parts, &encoder, &read));
        }
        let mut write = |done: &mpsc::Receiver<Made>| {
            // A thread that ends without an answer panicked, and the scope passes that on.
            let Ok(made) = done.recv() else { return Ok(()) };
            let (found, group) = made?;
            lines.add(found);
            group.map_or(Ok(()), |group| writer.append(group))
        };
        let mut waiting = VecDeque::new();
        // Moved in, so that the threads end when there is nothing more to send, or after an error.
        let send = send;
        each_part(size, from, progress, has_head, |part| {
            let (answer, done) = mpsc::channel();
            // Fails when all threads are gone: see above.
            let _ = send.send((part, answer));
            waiting.push_back(done);
            if waiting.len() > threads + 1 {
                waiting.pop_front().map_or(Ok(()), |done| write(&done))
            } else {
                Ok(())
            }
        })?;
        waiting.iter().try_for_each(write)
    })?;
    writer.close()?;
    Ok(lines)
}

type Made = Result<(Lines, Option<RowGroup>), Error>;

fn work<C: Columns>(
    parts: &Mutex<mpsc::Receiver<(Part<'_>, mpsc::Sender<Made>)>>,
    encoder: &Encoder,
    read: impl Fn(&Part<'_>, &mut C, &mut Lines) -> Result<(), Error>,
) {
    // In a function of its own, so that the lock is free while the part is read.
    let next = || parts.lock().ok()?.recv().ok();
    while let Some((part, answer)) = next() {
        let (mut columns, mut lines) = (C::default(), Lines::default());
        let made = read(&part, &mut columns, &mut lines).and_then(|()| Ok((lines, encoder.encode(columns)?)));
        // Nobody listens any more after an error.
        let _ = answer.send(made);
    }
}

/// Cuts files into parts of about `size` bytes; each file has one at least.
fn each_part<'p>(
    size: usize,
    paths: &'p [PathBuf],
    progress: Progress<'_>,
    has_head: impl Fn(&Path) -> bool,
    mut take: impl FnMut(Part<'p>) -> Result<(), Error>,
) -> Result<(), Error> {
    let length = |path: &PathBuf| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let total: u64 = paths.iter().map(length).sum();
    let mut done = 0;
    for path in paths {
        if is_parquet(path) {
            rows::each_part(path, |batches, before, share| {
                take(Part { path, head: None, content: Content::Rows(batches), before })?;
                progress(done + (length(path) as f64 * share) as u64, total);
                Ok(())
            })?;
            done += length(path);
            continue;
        }
        let read = Rc::new(Cell::new(0));
        let mut reader = open(path, read.clone())?;
        let (mut head, mut before) = (None, 0);
        let is_csv = has_head(path);
        while is_csv && head.is_none() {
            let mut line = Vec::new();
            if read_line(&mut reader, &mut line, path)? == 0 {
                break;
            }
            before += 1;
            let line = String::from_utf8_lossy(&line);
            head = Some(line.trim()).filter(|line| !line.is_empty()).map(str::to_owned);
        }
        loop {
            let mut text = Vec::with_capacity(size + (size >> 6));
            let length =
                reader.by_ref().take(size as u64).read_to_end(&mut text).map_err(Error::file(path))?;
            let mut quotes = Quotes::default();
            let mut seen = 0;
            loop {
                read_line(&mut reader, &mut text, path)?;
                // A field in quotes goes on in the next line.
                if !is_csv || !quotes.are_open_after(&text[seen..]) {
                    break;
                }
                let longest = text.len() - size.min(text.len());
                if seen == text.len() || longest > LONGEST {
                    let problem =
                        "a field whose quotes do not end: expected a second `\"` before the end of the file";
                    return Err(Error::Content(path.clone(), problem.to_owned()));
                }
                seen = text.len();
            }
            let is_last = length < size;
            let ends = text.iter().filter(|byte| **byte == b'\n').count() as u64;
            take(Part { path, head: head.clone(), content: Content::Text(text), before })?;
            before += ends;
            progress(done + read.get(), total);
            if is_last {
                break;
            }
        }
        done += read.get();
    }
    Ok(())
}

/// Longest line: a megabyte of gzip can be one of a gigabyte, which would fill the memory.
const LONGEST: usize = 64 << 20;

/// Adds what is left of a line to `text`; how many bytes that is.
fn read_line(reader: &mut impl BufRead, text: &mut Vec<u8>, path: &Path) -> Result<usize, Error> {
    let length = reader.take(LONGEST as u64).read_until(b'\n', text).map_err(Error::file(path))?;
    if length == LONGEST && text.last() != Some(&b'\n') {
        let problem = format!("a line of more than {} MiB: expected one record a line", LONGEST >> 20);
        return Err(Error::Content(path.to_owned(), problem));
    }
    Ok(length)
}

/// Whether a CSV's text is inside of a field in quotes, as the `csv` crate reads it: quotes open where a field begins.
#[derive(Default)]
struct Quotes {
    is_open: bool,
    /// The last byte was a quote inside of quotes: it ends them, or is the first of two.
    is_ending: bool,
    is_within: bool,
}

impl Quotes {
    fn are_open_after(&mut self, text: &[u8]) -> bool {
        // Most files have none, and then every line is a record.
        if !self.is_open && !text.contains(&b'"') {
            self.is_within = !text.ends_with(b"\n");
            return false;
        }
        for byte in text {
            match byte {
                b'"' if self.is_open && !self.is_ending => self.is_ending = true,
                b'"' if self.is_open => self.is_ending = false,
                b'"' if !self.is_within => (self.is_open, self.is_within) = (true, true),
                b',' | b'\n' | b'\r' if !self.is_open || self.is_ending => {
                    (self.is_open, self.is_ending, self.is_within) = (false, false, false);
                }
                _ if self.is_ending => (self.is_open, self.is_ending, self.is_within) = (false, false, true),
                _ => self.is_within = true,
            }
        }
        self.is_open && !self.is_ending
    }
}

/// Counts what comes from a file, packed or not.
struct Counted<R> {
    inner: R,
    count: Rc<Cell<u64>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(to)?;
        self.count.set(self.count.get() + length as u64);
        Ok(length)
    }
}

const BUFFER: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// A file's text: unpacked, without a byte order mark. What cannot be text is refused here, because no line of it would be
/// about exposures.
fn open(path: &Path, count: Rc<Cell<u64>>) -> Result<Box<dyn BufRead>, Error> {
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(path).map_err(Error::file(path))?)
    };
    let mut reader = BufReader::with_capacity(BUFFER, Counted { inner: source, count });
    let name = path.display();
    let start = reader.fill_buf().map_err(Error::file(path))?;
    let packed = |by: &str, tool: &str| {
        format!("is compressed by {by}: `{tool} -dc {name} | splitway …` and `-` as the file")
    };
    let problem = match start {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(packed("zstd", "zstd")),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => Some(packed("xz", "xz")),
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Some(packed("bzip2", "bzip2")),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            Some(format!("is UTF-16, expected UTF-8: `iconv -f UTF-16 -t UTF-8 {name}`"))
        }
        [b'P', b'A', b'R', b'1', ..] => Some("is Parquet, which is read from a file only".to_owned()),
        _ => None,
    };
    if let Some(problem) = problem {
        return Err(Error::Content(path.to_owned(), problem));
    }
    let is_gzip = start.starts_with(&[0x1f, 0x8b]);
    let mut reader: Box<dyn BufRead> = if is_gzip {
        Box::new(BufReader::with_capacity(BUFFER, MultiGzDecoder::new(reader)))
    } else {
        Box::new(reader)
    };
    if reader.fill_buf().map_err(Error::file(path))?.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(reader)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::ingest::outcome;
    use crate::table::OutcomeColumns;

    /// However the lines are cut: the same counts, the same line numbers, the same order.
    #[test]
    fn parts_make_no_difference() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let line = |unit: u32| format!("u{unit},{unit},m,1.5\n");
        let mut long: String = (0..500).map(line).collect();
        long.insert_str(line(7).len() * 10, "wrong\n\n");
        fs::write(path("long.csv"), format!("\nunit,time,metric,value\n{long}")).unwrap();
        fs::write(
            path("last.csv"),
            format!("unit,time,metric,value\r\n{}too,few", line(1).replace('\n', "\r\n")),
        )
        .unwrap();
        fs::write(path("head.csv"), "unit,time,metric,value").unwrap();
        fs::write(path("empty.csv"), "").unwrap();
        let from = ["long.csv", "head.csv", "empty.csv", "last.csv"].map(path);
        let units = |file: &Path| {
            let tables = crate::reduce::Tables::open(&[file.to_owned()], &[], &[]).unwrap();
            let rows = tables.rows("SELECT unit FROM exposures").unwrap();
            rows.iter().map(|row| row[0].clone()).collect::<Vec<_>>()
        };
        let expected: Vec<String> = (0..500).chain([1]).map(|unit| format!("u{unit}")).collect();
        for size in [1, 7, 100, 1000, PART] {
            let mut read = (0, 0);
            let to = path("units.parquet");
            let lines = convert_by(
                size,
                &from,
                &to,
                &[],
                &mut |done, of| read = (done, of),
                |_| true,
                |part, rows: &mut OutcomeColumns, lines| {
                    let Some(head) = &part.head else { return Ok(()) };
                    let columns = outcome::Columns::of(head).map_err(Error::content(part.path))?;
                    part.each_record(lines, |record, here| match columns.read(record) {
                        Ok(outcome) => {
                            rows.push(&outcome);
                            here.lines.records += 1;
                        }
                        Err(problem) => here.malformed(&problem),
                    });
                    Ok(())
                },
            );
            let lines = lines.unwrap();
            assert_eq!((lines.lines, lines.records, lines.malformed), (503, 501, 2), "{size}");
            let at: Vec<bool> = ["long.csv:13: ", "last.csv:3: "]
                .iter()
                .zip(&lines.examples)
                .map(|(at, example)| example.contains(at))
                .collect();
            assert_eq!(at, [true, true], "{size}: {:?}", lines.examples);
            assert_eq!(read.0, read.1);
            assert_eq!(units(&to), expected, "{size}");
        }
    }

    /// Quoted fields have line breaks, commas and quotes; a quote within a field is one.
    #[test]
    fn fields_in_quotes_may_break_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut text = String::from("note,unit,time,metric,value\n");
        for unit in 0..60 {
            let note = ["\"two\nlines, \"\"and\"\"\n\nmore\"", "5\" pipe", "plain", "\"\""][unit % 4];
            text.push_str(&format!("{note},u{unit},{unit},m,1.5\r\n"));
        }
        text.push_str("x,u,never,m,1\n");
        fs::write(path("o.csv"), &text).unwrap();
        for size in [1, 13, 200, PART] {
            let (from, to) = ([path("o.csv")], path("o.parquet"));
            let read = |part: &Part<'_>, rows: &mut OutcomeColumns, lines: &mut Lines| {
                let columns = outcome::Columns::of(part.head.as_deref().unwrap()).unwrap();
                part.each_record(lines, |record, here| match columns.read(record) {
                    Ok(outcome) => {
                        rows.push(&outcome);
                        here.lines.records += 1;
                    }
                    Err(problem) => here.malformed(&problem),
                });
                Ok(())
            };
            let lines = convert_by(size, &from, &to, &[], &mut |_, _| {}, |_| true, read).unwrap();
            assert_eq!(
                (lines.lines, lines.records, lines.malformed),
                (61, 60, 1),
                "{size}: {:?}",
                lines.examples
            );
            assert!(lines.examples[0].contains("o.csv:107: `time`"), "{size}: {:?}", lines.examples);
        }
        fs::write(path("open.csv"), "unit,time,metric,value\n\"u,1,m,1\nv,1,m,1\n").unwrap();
        let read = |_: &Part<'_>, _: &mut OutcomeColumns, _: &mut Lines| Ok(());
        let from = [path("open.csv")];
        let error = convert(&from, &path("o.parquet"), &[], &mut |_, _| {}, |_| true, read).unwrap_err();
        assert!(error.to_string().contains("open.csv: a field whose quotes do not end"), "{error}");
    }

    /// A megabyte of gzip that is one line of a gigabyte.
    #[test]
    fn a_line_that_would_fill_the_memory_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bomb.log.gz");
        let mut packed =
            flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        for _ in 0..(PART + LONGEST) / 1024 + 1024 {
            io::Write::write_all(&mut packed, &[b'x'; 1024]).unwrap();
        }
        packed.finish().unwrap();
        let read = |_: &Part<'_>, _: &mut OutcomeColumns, _: &mut Lines| Ok(());
        let to = folder.path().join("o.parquet");
        let error = convert(&[path], &to, &[], &mut |_, _| {}, |_| false, read).unwrap_err();
        assert!(error.to_string().contains("a line of more than 64 MiB"), "{error}");
    }

    /// The first error in the files' order, and no thread is left waiting.
    #[test]
    fn an_error_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("log"), folder.path().join("units.parquet"));
        fs::write(&from, "a\n".repeat(1000)).unwrap();
        let read = |part: &Part<'_>, _: &mut OutcomeColumns, _: &mut Lines| {
            if part.before < 500 { Ok(()) } else { Err(Error::Summary(part.before.to_string())) }
        };
        let from = [from, folder.path().join("missing")];
        let error = convert_by(100, &from, &to, &[], &mut |_, _| {}, |_| false, read).unwrap_err();
        // 100 bytes and the line after them.
        assert_eq!(error.to_string(), "summary: 510");
        let read = |_: &Part<'_>, _: &mut OutcomeColumns, _: &mut Lines| Ok(());
        assert!(matches!(convert(&from, &to, &[], &mut |_, _| {}, |_| false, read), Err(Error::File(..))));
    }
}
