//! Names for addresses, as far as they are cheap.

use std::process::Command;

/// Where an address is: file and offset, and function and line if binutils' `addr2line` is there.
pub(super) fn of(address: usize) -> String {
    let Some((file, offset)) = locate(address) else { return format!("{address:#x}") };
    let named = Command::new("addr2line").args(["-f", "-C", "-e", &file, &format!("{offset:#x}")]).output();
    let text = named.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let text = text.lines().collect::<Vec<_>>().join(" at ");
    let name = file.rsplit('/').next().unwrap_or(&file);
    format!("{name}+{offset:#x} ({text})")
}

/// The file that is mapped at an address, and the address's distance from where the file's first byte is.
fn locate(address: usize) -> Option<(String, usize)> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut first = None;
    for line in maps.lines() {
        let mut fields = line.split_ascii_whitespace();
        let (start, end) = fields.next()?.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        let (offset, file) = (fields.nth(1)?, fields.nth(2).unwrap_or(""));
        if offset == "00000000" {
            first = Some(start);
        }
        if (start..end).contains(&address) {
            return Some((file.to_owned(), address - first?));
        }
    }
    None
}
