"""Subscribers and the operator of one profile, under Locust as you know it.

    locust -f locustfiles/soak.py --headless -u 4 -t 20s         an operator and three subscribers
    locust -f locustfiles/soak.py                                the web UI, on http://127.0.0.1:8089
    locust -f locustfiles/soak.py --master                       and elsewhere: --worker --master-host=HOST

Every run leaves a directory under runs/ and ends with pvload's verdict as the exit code. Another experiment (Locust's
own --help is printed before it reads this file, and does not know of these):

    --pvload-profile NAME       a shipped profile, or a file; also: the variable PVLOAD_PROFILE
    --pvload-set KEY=VALUE      override a value, such as camera.exposure_ms=50; again for another
    --pvload-label KEY=VALUE    label the run; again for another
    --pvload-target HOST:PORT   the target's address, or sim
    --pvload-duration 20s       length of the run (or Locust's own -t)
    --pvload-frames N           end after N frames of every stream instead
    --pvload-exposure-ms MS     exposure of the camera
    --pvload-roi REGION         full, quarter, or x,y,width,height
    --pvload-quality QUALITY    full, preview or fast, for every subscriber
    --pvload-force              run more subscribers than the target admits
    --pvload-runs FOLDER        where run directories are made
"""

from pvload.load.plugin import install

globals().update(install())
