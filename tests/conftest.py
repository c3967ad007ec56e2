"""What every test may rely on, however the tests were started."""

from __future__ import annotations

import signal

# Under nohup or a service manager the tests would inherit an ignored SIGHUP, and hand it on to every process that they
# start; pvload respects that, and the tests of a closing terminal would wait in vain.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
