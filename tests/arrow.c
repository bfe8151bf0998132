/* Linked with one folder of the daemon, whole, and what that may use (Makefile.am): the link is the test. */
int main(void)
{
	return 0;
}
