"""Which addresses the client takes. The cases are those of the C++ client,
tests/unit/client/address_test.cc.

  python -B tests/address_test.py
"""

import re
import unittest

import groupnorm
from groupnorm.address import may_use_proxy, target_of

FORM = ", expected host:port, [IPv6 address]:port or unix:path"


class AddressTest(unittest.TestCase):
    def expect_refusal(self, address, text, error=ValueError):
        with self.subTest(address):
            for take in (target_of, groupnorm.Client):
                with self.assertRaisesRegex(error, f"^{re.escape(text)}$"):
                    take(address)

    def test_it_is_host_and_port_or_unix_path(self):
        for address in ("127.0.0.1:50051", "localhost:1", "example.org:65535",
                        "[::1]:50051", "[fe80::1%3]:50051", "unix:/run/groupnorm.sock",
                        "unix:relative", "dns:///example.org:1", "dns:1",
                        "unix:" + 107 * "x"):
            with self.subTest(address):
                target_of(address)
                groupnorm.Client(address).close()

    def test_what_is_neither_is_refused(self):
        for address in ("", "localhost", ":50051", "::1:50051", "[]:50051",
                        "[::1:50051", "[::x]:50051", "http://host:80",
                        "two words:1", "line\n:1", "\n[::1]:1"):
            self.expect_refusal(address, f"address: {address!r}{FORM}")
        self.expect_refusal("dns:///a", f"address: 'a'{FORM}")
        self.expect_refusal("dns://server/a:1", f"address: 'dns://server/a:1'{FORM}")
        self.expect_refusal("a:1,b", f"address: 'b'{FORM}")
        self.expect_refusal("1.2.3.4:1,", f"address: ''{FORM}")
        for port in ("", "0", "65536", "+1", "http", "1\n", 5000 * "9"):
            self.expect_refusal(
                f"host:{port}",
                f"address: {f'host:{port}'!r}, port {port!r}, expected 1 to 65535")

    def test_a_path_that_no_socket_can_have_is_refused(self):
        self.expect_refusal("unix:", "address: 'unix:', a path of 0 bytes, expected 1 to "
                                     "107")
        for path in (108 * "x", 54 * "é"):
            self.expect_refusal(
                f"unix:{path}",
                f"address: 'unix:{path}', a path of 108 bytes, expected 1 to 107")

    def test_what_is_no_text_is_refused(self):
        self.expect_refusal(50051, "address: 50051, expected a str, as in "
                                   "'127.0.0.1:50051'", TypeError)

    def test_a_list_is_of_one_kind(self):
        for address in ("a:1,b:2", "10.0.0.1:1,b:2", "10.0.0.1:1,[::1]:2",
                        "10.0.0.1:1,unix:/b", "10.0.0.999:1,10.0.0.1:1"):
            self.expect_refusal(
                address,
                f"address: {address!r}, expected a list of IPv4 addresses, of [IPv6 "
                "addresses] or of unix:paths; a name stands alone, for all servers it "
                "resolves to")

    def test_it_is_no_uri_whatever_the_host_is_called(self):
        for address, target in (
                ("dns:50051", "dns:///dns:50051"),
                ("127.0.0.1:1", "dns:///127.0.0.1:1"),
                ("unix:/run/groupnorm.sock", "unix:/run/groupnorm.sock"),
                ("[::1]:1", "[::1]:1"), ("dns:///a:1", "dns:///a:1"),
                ("unix:/a%20b?c#d", "unix:/a%2520b%3Fc%23d")):
            with self.subTest(address):
                self.assertEqual(target_of(address), target)

    def test_a_list_is_a_target_of_grpc(self):
        for address, target in (
                ("10.0.0.1:1,10.0.0.2:2", "ipv4:10.0.0.1:1,10.0.0.2:2"),
                ("[::1]:1,[fe80::1%3]:2", "ipv6:%5B::1%5D:1,%5Bfe80::1%253%5D:2"),
                ("unix:/a,unix:b", "unix:/a,b"),
                ("unix:/a#,unix:/b%", "unix:/a%23,/b%25")):
            with self.subTest(address):
                self.assertEqual(target_of(address), target)

    def test_no_proxy_is_asked_for_a_list_or_for_this_machine(self):
        for address in ("127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1", "unix:/x",
                        "dns:///localhost:1", "10.0.0.1:1,10.0.0.2:1"):
            with self.subTest(address):
                self.assertFalse(may_use_proxy(address))
        for address in ("10.0.0.1:1", "example.org:1", "localhost.example.org:1",
                        "127.example.org:1", "[::2]:1", "dns:///example.org:1"):
            with self.subTest(address):
                self.assertTrue(may_use_proxy(address))


if __name__ == "__main__":
    unittest.main()
