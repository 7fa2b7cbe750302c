"""A groupnorm-server for a test."""

import subprocess


class ServerProcess:
    def __init__(self, program, *flags):
        self.process = subprocess.Popen(
            [program, "--listen=127.0.0.1:0", "--log-level=error", "--drain-delay=0s",
             *flags], stdout=subprocess.PIPE, text=True)
        self.address = self.process.stdout.readline().split()[-1]

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
