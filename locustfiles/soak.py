"""Subscribers and the operator of one profile, under Locust as you know it.

    locust -f locustfiles/soak.py --headless -u 4 -t 20s         an operator and three subscribers
    locust -f locustfiles/soak.py                                the web UI, on http://127.0.0.1:8089
    locust -f locustfiles/soak.py --master                       and elsewhere: --worker --master-host=HOST

Another experiment: --pvload-profile NAME or FILE (or the variable PVLOAD_PROFILE), --pvload-set key=value,
--pvload-target HOST:PORT. Every run leaves a directory under runs/ and ends with pvload's verdict as the exit code.
"""

from pvload.load.plugin import install

globals().update(install())
