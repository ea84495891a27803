"""Where a picture comes from: settings in the file, an invisible mark, a signed manifest; content filters and an audit log."""

from ornstein.provenance.audit import AuditLog as AuditLog
from ornstein.provenance.files import mark_picture as mark_picture
from ornstein.provenance.files import seal as seal
from ornstein.provenance.filters import Blocked as Blocked
from ornstein.provenance.filters import Classifier as Classifier
from ornstein.provenance.filters import Filter as Filter
from ornstein.provenance.filters import OpenNSFW as OpenNSFW
from ornstein.provenance.filters import choose_filter as choose_filter
from ornstein.provenance.manifest import Manifest as Manifest
from ornstein.provenance.manifest import Signer as Signer
from ornstein.provenance.mark import Detection as Detection
from ornstein.provenance.mark import Mark as Mark
from ornstein.provenance.marks import get_mark as get_mark
from ornstein.provenance.rivagan import RivaGAN as RivaGAN
from ornstein.provenance.settings import Settings as Settings
from ornstein.provenance.settings import parse_parameters as parse_parameters
from ornstein.provenance.settings import read_settings as read_settings
from ornstein.provenance.spread import SpreadMark as SpreadMark
from ornstein.provenance.verify import Origin as Origin
from ornstein.provenance.verify import verify as verify
