//! SELECT, READ BINARY and READ RECORD over the card's few files.

use super::apdu::Command;
use super::state::{Life, LogRecord};
use super::status::StatusWord;
use super::{Card, Outcome, Reply, Session};

/// The name of the MF.
const MF_NAME: &[u8] = b"1PAY.SYS.DDF01";
/// The file id of the MF.
const MF_ID: u16 = 0x3F00;
/// The file id of the purse application.
const APPLICATION_ID: u16 = 0x3F01;
/// P2 of SELECT that asks for no selection answer.
const NO_ANSWER: u8 = 0x0C;

/// Which directory is selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Directory {
    #[default]
    Mf,
    Application,
}

/// The elementary files of the application that can be selected. The key file (0000) is never one of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileId {
    EdBalance,
    EpBalance,
    ApplicationInfo,
    HolderInfo,
    Log,
}

impl FileId {
    fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0001 => Some(Self::EdBalance),
            0x0002 => Some(Self::EpBalance),
            0x0015 => Some(Self::ApplicationInfo),
            0x0016 => Some(Self::HolderInfo),
            0x0018 => Some(Self::Log),
            _ => None,
        }
    }

    fn from_sfi(sfi: u8) -> Option<Self> {
        Self::from_id(u16::from(sfi))
    }
}

impl Card {
    /// `00 A4 04 P2 Lc name` and `00 A4 00 P2 02 id`.
    pub(super) fn select(&mut self, command: &Command<'_>) -> Outcome {
        if !matches!(command.p2, 0x00 | NO_ANSWER) {
            return Err(StatusWord::WRONG_P1P2);
        }
        match command.p1 {
            0x04 if command.data.is_empty() => Err(StatusWord::WRONG_LENGTH),
            0x04 if command.data == self.personalisation.aid.bytes() => self.select_application(command.p2),
            0x04 if command.data == MF_NAME => self.select_mf(command.p2),
            0x04 => Err(StatusWord::FILE_NOT_FOUND),
            0x00 if !command.has_data => self.select_mf(command.p2),
            0x00 => match u16::from_be_bytes(*command.exactly::<2>()?) {
                MF_ID => self.select_mf(command.p2),
                APPLICATION_ID => self.select_application(command.p2),
                id => self.select_file(id),
            },
            _ => Err(StatusWord::WRONG_P1P2),
        }
    }

    fn select_mf(&mut self, p2: u8) -> Outcome {
        self.session = Session::default();
        Reply::ok(answer_unless(p2, || {
            selection_answer(MF_NAME, &[0x88, 0x01, 0x01])
        }))
    }

    fn select_application(&mut self, p2: u8) -> Outcome {
        if self.state.life == Life::Dead {
            return Err(StatusWord::APPLICATION_DEAD);
        }
        self.session = Session {
            directory: Directory::Application,
            ..Session::default()
        };
        let data = answer_unless(p2, || {
            let info = self.application_info();
            let mut proprietary = vec![
                0x9F,
                0x08,
                0x01,
                self.personalisation.application_version,
                0x9F,
                0x0C,
            ];
            proprietary.push(length_byte(&info));
            proprietary.extend_from_slice(&info);
            selection_answer(self.personalisation.aid.bytes(), &proprietary)
        });
        let status = match self.state.life {
            Life::Usable | Life::Dead => StatusWord::OK,
            Life::Blocked => StatusWord::APPLICATION_BLOCKED_WARNING,
        };
        Ok(Reply { data, status })
    }

    fn select_file(&mut self, id: u16) -> Outcome {
        let file = self.file_here(FileId::from_id(id))?;
        self.session.file = Some(file);
        Reply::ok(Vec::new())
    }

    /// `00 B0 (80|SFI) offset Le`, or `00 B0 offset offset Le` on the selected file.
    pub(super) fn read_binary(&mut self, command: &Command<'_>) -> Outcome {
        command.without_data()?;
        let (file, offset) = if command.p1 & 0x80 == 0 {
            let file = self.session.file.ok_or(StatusWord::NO_CURRENT_FILE)?;
            (file, usize::from(u16::from_be_bytes([command.p1, command.p2])))
        } else if command.p1 & 0x60 == 0 {
            (
                self.file_here(FileId::from_sfi(command.p1 & 0x1F))?,
                usize::from(command.p2),
            )
        } else {
            return Err(StatusWord::WRONG_P1P2);
        };
        let content = match file {
            FileId::ApplicationInfo => self.application_info().to_vec(),
            FileId::HolderInfo => holder_info().to_vec(),
            FileId::EdBalance | FileId::EpBalance | FileId::Log => return Err(StatusWord::WRONG_FILE_TYPE),
        };
        self.session.file = Some(file);
        let rest = content
            .get(offset..)
            .filter(|rest| !rest.is_empty())
            .ok_or(StatusWord::WRONG_OFFSET)?;
        let asked = match command.le {
            None | Some(0) => rest.len(),
            Some(le) => rest.len().min(usize::from(le)),
        };
        Reply::ok(rest[..asked].to_vec())
    }

    /// `00 B2 nn (SFI<<3 | 4) 17`: record `nn`, newest first.
    pub(super) fn read_record(&mut self, command: &Command<'_>) -> Outcome {
        command.without_data()?;
        if command.p2 & 0x07 != 0x04 || command.p1 == 0 {
            return Err(StatusWord::WRONG_P1P2);
        }
        let file = match command.p2 >> 3 {
            0 => self.session.file.ok_or(StatusWord::NO_CURRENT_FILE)?,
            sfi => self.file_here(FileId::from_sfi(sfi))?,
        };
        if file != FileId::Log {
            return Err(StatusWord::WRONG_FILE_TYPE);
        }
        self.session.file = Some(file);
        let LogRecord(record) = self
            .state
            .log
            .nth_newest(command.p1)
            .ok_or(StatusWord::RECORD_NOT_FOUND)?;
        Reply::ok(record.to_vec())
    }

    /// The file, if the selected directory has one.
    fn file_here(&self, file: Option<FileId>) -> Result<FileId, StatusWord> {
        match self.session.directory {
            Directory::Application => file.ok_or(StatusWord::FILE_NOT_FOUND),
            Directory::Mf => Err(StatusWord::FILE_NOT_FOUND),
        }
    }

    /// File 0015: 30 bytes.
    fn application_info(&self) -> [u8; 30] {
        let fixed = &self.personalisation;
        let mut info = [0; 30];
        info[..8].copy_from_slice(&fixed.issuer.0);
        info[8] = fixed.purses.application_type();
        info[9] = fixed.application_version;
        info[10..20].copy_from_slice(&fixed.serial.0);
        info[20..24].copy_from_slice(&fixed.start.0);
        info[24..28].copy_from_slice(&fixed.expiry.0);
        info
    }
}

/// File 0016: card type, staff flag, name (20), id number (16), id type. The lab's holder has no name of a person.
fn holder_info() -> [u8; 0x27] {
    let mut info = [0; 0x27];
    info[2..22].copy_from_slice(b"LAB CARD HOLDER     ");
    info[22..38].copy_from_slice(b"0000000000000000");
    info
}

fn answer_unless(p2: u8, answer: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    if p2 == NO_ANSWER { Vec::new() } else { answer() }
}

/// `6F L 84 L name A5 L proprietary`.
fn selection_answer(name: &[u8], proprietary: &[u8]) -> Vec<u8> {
    let mut template = vec![0x84, length_byte(name)];
    template.extend_from_slice(name);
    template.extend_from_slice(&[0xA5, length_byte(proprietary)]);
    template.extend_from_slice(proprietary);
    let mut answer = vec![0x6F, length_byte(&template)];
    answer.append(&mut template);
    answer
}

/// The length of a field that is far below 128 bytes on this card.
fn length_byte(field: &[u8]) -> u8 {
    u8::try_from(field.len()).expect("a field of this card's selection answers is shorter than 128 bytes")
}
